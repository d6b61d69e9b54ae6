/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzing the image loaders: mutated images are loaded into a small RAM with
 * guard pages around it.  Whatever the bytes, a loader must return true or a
 * one-line error, and stay inside the image and the RAM.
 *
 * The driver is our own, so that it runs with any compiler and under its
 * sanitizers; built with -DLIBFUZZER and clang's -fsanitize=fuzzer the same
 * target runs under libFuzzer.
 *
 *   fuzz_loader [-t SECONDS] [-n RUNS] [-s SEED] [SEED-FILE]...
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "host/image.h"

#define RAM_SIZE (16ull << 20)
#define IMAGE_ROOM (256u << 10)

static uint8_t *guarded(size_t size)
{
    uint8_t *p =
        mmap(NULL, size + 2 * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED || mprotect(p + PAGE_SIZE, size, PROT_READ | PROT_WRITE)) {
        perror("mmap");
        exit(99);
    }
    return p + PAGE_SIZE;
}

/* A copy that ends where a guard page begins, so that reading on is caught. */
static uint8_t *at_the_edge(const uint8_t *data, size_t size)
{
    static uint8_t *area;

    if (!area)
        area = guarded(IMAGE_ROOM);
    return memcpy(area + IMAGE_ROOM - size, data, size);
}

static unsigned loaded, refused;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t *ram_base;
    static uint8_t initrd[5000];
    static struct guestram ram;
    struct boot_images b = {.kernel = {.name = "fuzz"}, .cmdline = "console=ttyS0 a=b"};
    struct boot_state boot;

    if (size == 0 || size > IMAGE_ROOM)
        return 0;
    if (!ram_base)
        ram_base = guarded(RAM_SIZE);
    b.kernel.data = at_the_edge(data, size);
    b.kernel.size = size;
    if (size & 1) { /* half of them with a module */
        b.modules = 1;
        b.module[0] = (struct image){"initrd", initrd, sizeof initrd};
        b.module_args[0] = "initrd one two";
    }
    guestram_init(&ram, ram_base, RAM_SIZE);
    if (boot_images_load(&b, &ram, &boot)) {
        loaded++;
        if (boot.eip >= RAM_SIZE || boot.gdt_base + (uint64_t)boot.gdt_limit >= RAM_SIZE)
            abort();
    } else {
        refused++;
        if (!ram.err[0] || strlen(ram.err) >= sizeof ram.err)
            abort();
    }
    return 0;
}

#ifndef LIBFUZZER

struct seed {
    uint8_t *data;
    size_t size;
};

static struct seed seeds[16];
static unsigned seed_count;

static void add_seed(const uint8_t *data, size_t size)
{
    if (seed_count == ARRAY_SIZE(seeds) || size > IMAGE_ROOM)
        return;
    seeds[seed_count].data = malloc(size);
    memcpy(seeds[seed_count].data, data, size);
    seeds[seed_count++].size = size;
}

static void seed_bzimage(void)
{
    static uint8_t d[0x4000];

    d[0x1f1] = 4;
    put16(d + 0x1fe, 0xaa55);
    d[0x201] = 0x66;
    memcpy(d + 0x202, "HdrS", 4);
    put16(d + 0x206, 0x20f);
    d[0x211] = 1;
    put32(d + 0x214, 0x100000);
    put32(d + 0x22c, 0x7fffffff);
    put32(d + 0x238, 2047);
    put64(d + 0x258, 0x200000);
    put32(d + 0x260, 0x400000);
    add_seed(d, sizeof d);
}

static void seed_elf(bool multiboot)
{
    static uint8_t d[0x3000];

    memset(d, 0, sizeof d);
    memcpy(d, "\177ELF\1\1\1", 7);
    put16(d + 16, 2);        /* ET_EXEC */
    put16(d + 18, 3);        /* EM_386 */
    put32(d + 20, 1);
    put32(d + 24, 0x100010); /* entry */
    put32(d + 28, 52);       /* phoff */
    put16(d + 40, 52);
    put16(d + 42, 32);
    put16(d + 44, 2);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t *ph = d + 52 + 32 * i;
        put32(ph, 1);
        put32(ph + 4, 0x1000 + 0x1000 * i);
        put32(ph + 8, 0x100000 + 0x2000 * i);
        put32(ph + 12, 0x100000 + 0x2000 * i);
        put32(ph + 16, 0x1000);
        put32(ph + 20, 0x1800);
        put32(ph + 24, 7);
    }
    if (multiboot) {
        put32(d + 0x1000, 0x1badb002);
        put32(d + 0x1004, 3);
        put32(d + 0x1008, -(0x1badb002u + 3));
    }
    add_seed(d, sizeof d);
}

static void seed_kludge(void)
{
    static uint8_t d[0x2000];
    const uint32_t flags = 0x10003;

    put32(d + 0x40, 0x1badb002);
    put32(d + 0x44, flags);
    put32(d + 0x48, -(0x1badb002u + flags));
    put32(d + 0x4c, 0x100040);
    put32(d + 0x50, 0x100000);
    put32(d + 0x54, 0x102000);
    put32(d + 0x58, 0x104000);
    put32(d + 0x5c, 0x100100);
    add_seed(d, sizeof d);
}

static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)((rng >> 16) % n);
}

/* Headers are where loaders look, so most changes go there; values are those that overflow sums. */
static size_t mutate(uint8_t *d, size_t size)
{
    static const uint32_t nasty[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffff000, 0x1000, 0x100000,
                                     0xa0000, 0xfffffff0, 0x1000000, 0xffff};

    for (unsigned n = 1 + rnd(6); n > 0; n--) {
        size_t at = rnd(4) ? rnd((uint32_t)min_u64(size, 0x400)) : rnd((uint32_t)size);
        switch (rnd(5)) {
        case 0:
            d[at] = (uint8_t)rnd(256);
            break;
        case 1:
            d[at] ^= (uint8_t)(1u << rnd(8));
            break;
        case 2:
            at &= ~3ul;
            if (at + 4 <= size)
                put32(d + at, nasty[rnd(ARRAY_SIZE(nasty))]);
            break;
        case 3:
            at &= ~3ul;
            if (at + 4 <= size)
                put32(d + at, get32(d + at) + rnd(0x2000) - 0x1000);
            break;
        default:
            if (rnd(8) == 0)
                size = 1 + rnd((uint32_t)size);
        }
    }
    /* A multiboot checksum that fits keeps such images interesting. */
    for (size_t at = 0; at + 12 <= size && at < 8192; at += 4)
        if (get32(d + at) == 0x1badb002)
            put32(d + at + 8, -(get32(d + at) + get32(d + at + 4)));
    return size;
}

static void read_seed(const char *path)
{
    struct image img;
    char err[300];

    if (image_read(&img, path, err, sizeof err))
        add_seed(img.data, img.size);
    free(img.data);
}

int main(int argc, char **argv)
{
    static uint8_t buf[IMAGE_ROOM];
    unsigned long runs = 0, max = 1000000;
    long seconds = 10;
    int c;

    rng = 0x9e3779b97f4a7c15ull;
    while ((c = getopt(argc, argv, "t:n:s:")) != -1) {
        if (c == 't')
            seconds = atol(optarg);
        else if (c == 'n')
            max = strtoul(optarg, NULL, 0);
        else if (c == 's')
            rng ^= strtoull(optarg, NULL, 0) * 0x2545f4914f6cdd1dull;
        else
            return 2;
    }
    seed_bzimage();
    seed_elf(false);
    seed_elf(true);
    seed_kludge();
    for (int i = optind; i < argc; i++)
        read_seed(argv[i]);
    for (unsigned i = 0; i < seed_count; i++)
        LLVMFuzzerTestOneInput(seeds[i].data, seeds[i].size);
    unsigned good_seeds = loaded;
    time_t end = time(NULL) + seconds;
    for (; runs < max && (runs % 256 || time(NULL) < end); runs++) {
        const struct seed *s = &seeds[rnd(seed_count)];
        memcpy(buf, s->data, s->size);
        LLVMFuzzerTestOneInput(buf, mutate(buf, s->size));
    }
    /* TAP: a target that refuses even the seeds, or accepts everything, tests nothing. */
    printf("1..2\n%s 1 - %u of %u seeds load\n", good_seeds >= 4 ? "ok" : "not ok", good_seeds, seed_count);
    printf("%s 2 - %lu mutated images: %u loaded, %u refused\n",
           refused > 100 && loaded > 100 ? "ok" : "not ok", runs, loaded, refused);
    return 0;
}

#endif
