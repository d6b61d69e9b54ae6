/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Vector registers across context switches: processes that keep different
 * patterns in the widest registers that CPUID and XCR0 offer (XMM, YMM or ZMM
 * and the mask registers), yield to each other, take signals, compute through
 * several time slices, and compare.
 *
 * Also: what CPUID and XGETBV offer must be what the kernel saves.  Registers that the program finds and the
 * kernel does not know of would be lost at the first switch.
 */
#include "nolibc.h"

#include <stdbool.h>

#define PROCESSES 3
#define ROUNDS 200
#define SPIN 200000

/* SSE2: 0, AVX: 1, AVX-512F: 2. */
static unsigned width;

struct image {
    uint32_t reg[8][16];
    uint32_t k[8];
} __attribute__((aligned(64)));

static struct image want, got;

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    asm volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "0"(leaf), "2"(subleaf));
}

static uint32_t xcr0(void)
{
    uint32_t lo, hi;

    asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo;
}

#define EACH(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7)
#define LOAD_XMM(n) asm volatile("movups %0, %%xmm" #n : : "m"(want.reg[n]));
#define LOAD_YMM(n) asm volatile("vmovups %0, %%ymm" #n : : "m"(want.reg[n]));
#define LOAD_ZMM(n) asm volatile("vmovups %0, %%zmm" #n : : "m"(want.reg[n]));
#define LOAD_K(n) asm volatile("kmovw %0, %%k" #n : : "m"(want.k[n]));
#define STORE_XMM(n) asm volatile("movups %%xmm" #n ", %0" : "=m"(got.reg[n]));
#define STORE_YMM(n) asm volatile("vmovups %%ymm" #n ", %0" : "=m"(got.reg[n]));
#define STORE_ZMM(n) asm volatile("vmovups %%zmm" #n ", %0" : "=m"(got.reg[n]));
#define STORE_K(n) asm volatile("kmovw %%k" #n ", %0" : "=m"(got.k[n]));

static void load(void)
{
    if (width == 2) {
        EACH(LOAD_ZMM)
        EACH(LOAD_K)
    } else if (width == 1) {
        EACH(LOAD_YMM)
    } else {
        EACH(LOAD_XMM)
    }
}

static void store(void)
{
    memset(&got, 0, sizeof got);
    if (width == 2) {
        EACH(STORE_ZMM)
        EACH(STORE_K)
    } else if (width == 1) {
        EACH(STORE_YMM)
    } else {
        EACH(STORE_XMM)
    }
}

static void pattern_make(uint32_t seed)
{
    unsigned words = 4u << width;

    memset(&want, 0, sizeof want);
    for (unsigned r = 0; r < 8; r++) {
        for (unsigned i = 0; i < words; i++)
            want.reg[r][i] = seed = seed * 1664525 + 1013904223;
        if (width == 2)
            want.k[r] = seed >> 16;
    }
}

static unsigned differs(void)
{
    const uint32_t *a = (const uint32_t *)&want, *b = (const uint32_t *)&got;

    store();
    for (unsigned i = 0; i < sizeof want / 4; i++)
        if (a[i] != b[i])
            return 1;
    return 0;
}

static void spin(unsigned n)
{
    for (volatile unsigned i = 0; i < n; i++)
        ;
}

/* Signals save the state in the user's stack frame and get it back from there. */
static void on_signal(int sig)
{
    struct image keep = want;

    (void)sig;
    pattern_make(0x5151);
    load();
    want = keep;
}

struct action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long long mask;
};

#define SA_FLAGS 0x04000004u /* SA_RESTORER, SA_SIGINFO: a frame for rt_sigreturn */

extern void restorer(void);
asm("restorer: movl $173, %eax; int $0x80");

static unsigned run(uint32_t seed)
{
    struct action a = { .handler = on_signal, .flags = SA_FLAGS, .restorer = restorer };
    long self = SYS(SYS_getpid, 0, 0, 0);
    unsigned bad = 0;

    sys6(SYS_rt_sigaction, 10, (long)&a, 0, 8, 0, 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        pattern_make(seed + i);
        load();
        SYS(SYS_sched_yield, 0, 0, 0);
        bad += differs();
        if (i % 16 == 0) {
            SYS(SYS_kill, self, 10, 0);
            bad += differs();
        }
        if (i % 32 == 0) {
            spin(SPIN);
            bad += differs();
        }
    }
    return bad;
}

static void test_switches(void)
{
    unsigned good = 0;

    for (unsigned i = 0; i < PROCESSES; i++)
        if (SYS(SYS_fork, 0, 0, 0) == 0)
            SYS(SYS_exit_group, run(0x1000 * (i + 1)) ? 1 : 0, 0, 0);
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = -1;

        SYS(SYS_waitpid, -1, &status, 0);
        good += status == 0;
    }
    CHECK("vectors-across-switches", good, PROCESSES);
}

/* XSAVE and XRSTOR by user code with a mask that names everything, in an area of the size that CPUID says. */
static void test_xsave(void)
{
    static uint8_t area[16384] __attribute__((aligned(64)));
    uint32_t out[4];
    unsigned untouched = 0;

    cpuid(0xd, 0, out);
    CHECK("xsave-size", out[1] >= 576 && out[1] <= out[2] && out[1] <= sizeof area - 64, 1);
    memset(area, 0xa5, sizeof area);
    memset(area + 512, 0, 64);
    pattern_make(0x777);
    load();
    asm volatile("xsave (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
    for (unsigned i = 0; i < 64; i++)
        untouched += area[out[1] + i] == 0xa5;
    CHECK("xsave-within-its-size", untouched, 64);
    CHECK("xsave-components", *(uint32_t *)(area + 512) & 6, width ? 6 : 2);
    pattern_make(0x888);
    load();
    asm volatile("xrstor (%0)" : : "S"(area), "a"(-1), "d"(-1) : "memory");
    pattern_make(0x777);
    CHECK("xrstor", differs(), 0);
}

/* A word of the flags line in /proc/cpuinfo. */
static unsigned kernel_knows(const char *word)
{
    static char text[4096];
    size_t len = text_length(word);
    long n = 0, got_bytes, fd = SYS(SYS_open, "/proc/cpuinfo", 0, 0);

    memset(text, 0, sizeof text);
    while ((got_bytes = SYS(SYS_read, fd, text + n, sizeof text - 1 - n)) > 0)
        n += got_bytes;
    SYS(SYS_close, fd, 0, 0);
    for (long i = 1; i + (long)len < n; i++) {
        size_t k = 0;

        while (k < len && text[i + k] == word[k])
            k++;
        if (k == len && text[i - 1] == ' ' && (text[i + k] == ' ' || text[i + k] == '\n'))
            return 1;
    }
    return 0;
}

static void test(void)
{
    uint32_t one[4], seven[4], max[4], enabled;
    bool osxsave, avx, avx512;

    cpuid(0, 0, max);
    cpuid(1, 0, one);
    memset(seven, 0, sizeof seven);
    if (max[0] >= 7)
        cpuid(7, 0, seven);
    osxsave = one[2] >> 27 & 1;
    enabled = osxsave ? xcr0() : 0;
    avx = (one[2] >> 28 & 1) && (enabled & 6) == 6;
    avx512 = avx && (seven[1] >> 16 & 1) && (enabled & 0xe6) == 0xe6;
    CHECK("xsave-known", osxsave, kernel_knows("xsave"));
    CHECK("avx-known", avx, kernel_knows("avx"));
    CHECK("avx2-known", avx && (seven[1] >> 5 & 1), kernel_knows("avx2"));
    CHECK("avx512-known", avx512, kernel_knows("avx512f"));
    width = avx512 ? 2 : avx ? 1 : 0;
    put(width == 2 ? "ok vectors of 512 bits\n" : width == 1 ? "ok vectors of 256 bits\n" : "ok vectors of 128 bits\n");
    test_switches();
    if (osxsave)
        test_xsave();
}
