// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A hostile caller of the ring-0 world: it writes at random to all that it shares with the monitor, struct cross and guest
 * RAM, before the VM starts and while it runs.
 *
 * Its VM may end in any way but by a bug of the monitor (the module tells the kernel's log); every request must come
 * back, by a signal at the latest. Nor does the module take a caller whose memory is too small for the monitor.
 *
 * Usage: scribble VMS SEED.  World: hosted, in the emulated machine; as root.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "world/cross.h"
#include "world/ring0/abi.h"

#define RAM_SIZE (16ul << 20)
#define PRIVATE_SIZE (64ul << 20)
#define SHARED_SIZE ((sizeof(struct cross) + 4095) & ~4095ul)
#define EIP 0x1000u

/* The guest: paging, console output and input, time, memory by way of page tables, code that changes. */
static const uint8_t guest[] = {
    0xb8, 0, 0x30, 0, 0,                /* mov $0x3000,%eax */
    0x0f, 0x22, 0xd8,                   /* mov %eax,%cr3 */
    0x0f, 0x20, 0xc0,                   /* mov %cr0,%eax */
    0x0d, 0, 0, 0, 0x80,                /* or $0x80000000,%eax */
    0x0f, 0x22, 0xc0,                   /* mov %eax,%cr0 */
    0xba, 0xf8, 0x03, 0, 0,             /* 0x1013: mov $0x3f8,%edx */
    0xee, 0xec,                         /* out %al,%dx; in %dx,%al */
    0xff, 0x05, 0, 0x90, 0, 0,          /* incl 0x9000 */
    0x0f, 0x31,                         /* rdtsc */
    0xfe, 0x05, 0x01, 0x11, 0, 0,       /* incb 0x1101 */
    0xe8, 0xd3, 0, 0, 0,                /* call 0x1100 */
    0x0f, 0x31,                         /* rdtsc */
    0x25, 0xfc, 0xff, 0x3f, 0,          /* and $0x3ffffc,%eax */
    0x0d, 0, 0, 0x01, 0,                /* or $0x10000,%eax */
    0xff, 0x00,                         /* incl (%eax) */
    0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8, /* mov %cr3,%eax; mov %eax,%cr3 */
    0xe7, 0x80,                         /* out %eax,$0x80 */
    0xeb, 0xce,                         /* jmp 0x1013 */
};
static const uint8_t changing[] = { 0xb8, 0, 0, 0, 0, 0xc3 }; /* mov $0,%eax; ret */
/* Of page faults: behind the instruction. */
static const uint8_t handler[] = { 0x83, 0xc4, 4, 0x83, 0x04, 0x24, 2, 0xcf }; /* add $4,%esp; addl $2,(%esp); iret */
#define PAGE_DIRECTORY 0x3000u
#define PAGE_TABLE 0x4000u
#define GDT 0x7000u
#define GUEST_END 0x8000u
#define FREE_ENTRIES 16u /* of the page table: not of what the guest lives in */

struct calls { volatile unsigned long runs; volatile unsigned dead, ended; }; /* of the process that runs the VM; shared */

static uint64_t state;

static uint64_t number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1dull;
}

static void *memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return p;
}

static void noticed(int signo) { (void)signo; }

static uint64_t value(void)
{
    static const uint64_t odd[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, ~0ull, 0x8040000000, 0x8000000000, 65535, 65536 };
    uint64_t n = number();

    return n & 1 ? odd[(n >> 8) % (sizeof odd / sizeof odd[0])] : number();
}

/* With mercy, only what the guest survives. */
static void guest_scribble(uint8_t *ram, uint64_t n, uint64_t x, bool mercy)
{
    const unsigned first = mercy ? PAGE_TABLE + FREE_ENTRIES * 4 : 0, end = mercy ? PAGE_TABLE + 4096 : GUEST_END;

    memcpy(ram + first + n % (end - first - 8), &x, 8);
}

/* One word; the fields before the large arrays and after them get as many as the arrays. */
static void scribble(struct cross *c, uint8_t *ram, bool mercy)
{
    uint8_t *base = (uint8_t *)c;
    uint64_t n = number(), x = value();
    size_t at;

    switch (n & 7) {
    case 0:
        at = (n >> 8) % (SHARED_SIZE - 8);
        break;
    case 1:
        guest_scribble(ram, n >> 8, x, mercy);
        return;
    case 2:
        at = (n >> 8) % sizeof c->config;
        break;
    case 3:
        at = offsetof(struct cross, trace) + (n >> 8) % 32;
        break;
    case 4:
        at = offsetof(struct cross, stats) + (n >> 8) % sizeof c->stats;
        break;
    case 5:
        at = offsetof(struct cross, tx_head) + (n >> 8) % 16;
        break;
    default:
        at = offsetof(struct cross, doorbell) + (n >> 8) % (offsetof(struct cross, stop_msg) - offsetof(struct cross, doorbell));
    }
    memcpy(base + at, &x, n >> 60 & 1 ? 8 : 4);
    if (mercy) /* or few would live for long */
        c->host_stop = c->config.bt.monitor_bug = 0;
}

static struct btmon_create sizes(struct cross *c, uint8_t *ram)
{
    return (struct btmon_create){ .version = BTMON_VERSION, .ram_addr = (uintptr_t)ram, .ram_size = RAM_SIZE,
                                  .shared_addr = (uintptr_t)c, .shared_size = SHARED_SIZE, .private_size = PRIVATE_SIZE };
}

/* Whatever the monitor asks for is granted by calling again. */
static void run(int fd, struct calls *calls)
{
    for (;;) {
        struct btmon_run r = { .event = 1 };
        int err = ioctl(fd, BTMON_RUN, &r) < 0 ? errno : 0;

        calls->runs++;
        if (err == EIO)
            calls->dead = 1;
        else if (!err && r.code == BTMON_USER_END)
            calls->ended = 1;
        else if (!err || err == EINTR)
            continue;
        else
            perror("BTMON_RUN");
        _exit(0);
    }
}

static void guest_make(uint8_t *ram)
{
    static const uint64_t gdt[] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff }, gate = 0x00008e0000081200;
    uint32_t *table = (uint32_t *)(ram + PAGE_TABLE);

    memcpy(ram + EIP, guest, sizeof guest);
    memcpy(ram + EIP + 0x100, changing, sizeof changing);
    memcpy(ram + EIP + 0x200, handler, sizeof handler);
    memcpy(ram + 14 * 8, &gate, sizeof gate);
    memcpy(ram + GDT, gdt, sizeof gdt);
    *(uint32_t *)(ram + PAGE_DIRECTORY) = PAGE_TABLE | 3;
    for (uint32_t i = 0; i < 1024; i++)
        table[i] = i << 12 | 3;
}

static bool create(int fd, struct cross *c, uint8_t *ram)
{
    const struct btmon_create create = sizes(c, ram);

    c->config = (struct cross_config){ .ram_size = RAM_SIZE, .tsc_hz = 1000000000, .host_has_nx = 1, .cpu_model = "btvmm32",
                                       .boot = { .protected_mode = 1, .eip = EIP, .cs = 8, .ds = 16, .gdt_base = GDT, .gdt_limit = 23 } };
    c->config.boot.gpr[4] = 0x8000;
    c->started = 1;
    guest_make(ram);
    return !ioctl(fd, BTMON_CREATE, &create);
}

/* True: the process has ended; by itself, or by the signal that none can withstand. */
static bool finish(struct cross *c, pid_t pid, unsigned *killed)
{
    int status;

    for (unsigned i = 0; i < 100; i++) {
        c->host_stop = 1;
        kill(pid, SIGUSR1);
        usleep(5000);
        if (waitpid(pid, &status, WNOHANG) == pid)
            return true;
    }
    ++*killed;
    kill(pid, SIGKILL);
    return waitpid(pid, &status, 0) == pid;
}

static long long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* Sizes that the monitor can't do with, each by a page or by much. */
static bool refused(void)
{
    struct cross *c = memory(SHARED_SIZE);
    uint8_t *ram = memory(RAM_SIZE);
    struct btmon_create good = sizes(c, ram), bad[6];
    int fd = open(BTMON_DEVICE, O_RDWR | O_CLOEXEC);
    bool all = fd >= 0;

    for (unsigned i = 0; i < 6; i++)
        bad[i] = good;
    bad[0].ram_size -= 4096;
    bad[1].ram_size = (3ull << 30) + 4096;
    bad[2].shared_size -= 4096;
    bad[3].shared_size = 4096;
    bad[4].private_size -= 4096;
    bad[5].private_size = 4096;
    for (unsigned i = 0; i < 6; i++)
        if (ioctl(fd, BTMON_CREATE, &bad[i]) == 0 || errno != EINVAL) {
            printf("sizes %u: %s\n", i, strerror(errno));
            all = false;
        }
    close(fd);
    munmap(c, SHARED_SIZE);
    munmap(ram, RAM_SIZE);
    return all;
}

static void one_vm(unsigned i, struct calls *calls, unsigned *killed)
{
    struct cross *c = memory(SHARED_SIZE);
    uint8_t *ram = memory(RAM_SIZE);
    int fd = open(BTMON_DEVICE, O_RDWR | O_CLOEXEC);
    unsigned gap = 1u << (i % 4 * 4);
    long long until;
    pid_t pid;

    if (fd < 0 || !create(fd, c, ram)) {
        perror("BTMON_CREATE");
        exit(1);
    }
    if (i % 3 == 0)
        for (unsigned n = 0; n < 4; n++)
            memset((uint8_t *)&c->config + number() % sizeof c->config, (int)number(), 1);
    pid = fork();
    if (!pid)
        run(fd, calls);
    for (until = now_ms() + 200; i % 3 && now_ms() < until && calls->runs < 2 && !calls->dead && !calls->ended;)
        usleep(1000); /* let it take its configuration */
    until = now_ms() + 200;
    while (now_ms() < until)
        for (unsigned n = 0; n < 4096 / gap; n++) {
            scribble(c, ram, i & 1);
            if (gap > 16)
                usleep(gap);
        }
    if (!finish(c, pid, killed))
        exit(1);
    printf("# %u: %lu calls, %s: %.100s\n", i, calls->runs, calls->dead ? "broke" : "ended", c->stop_msg);
    close(fd);
    munmap(c, SHARED_SIZE);
    munmap(ram, RAM_SIZE);
}

int main(int argc, char **argv)
{
    struct calls *calls = memory(sizeof *calls);
    struct sigaction sa = { .sa_handler = noticed };
    unsigned vms = argc > 1 ? (unsigned)atoi(argv[1]) : 1, dead = 0, ended = 0, killed = 0;
    unsigned long runs = 0;

    state = argc > 2 ? strtoull(argv[2], NULL, 0) * 2 + 1 : 1;
    sigaction(SIGUSR1, &sa, NULL);
    if (!refused())
        return 1;
    for (unsigned i = 0; i < vms; i++) {
        *calls = (struct calls){ 0 };
        one_vm(i, calls, &killed);
        dead += calls->dead;
        ended += calls->ended;
        runs += calls->runs;
    }
    printf("scribble: %u VMs, %lu calls; %u ended, %u broke, %u were killed\n", vms, runs, ended, dead, killed);
    return runs < vms;
}
