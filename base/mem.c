/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memcpy and friends for code without libc, and the bump arena.
 *
 * Small blocks go by 8-byte words with the last word overlapping its
 * neighbour; large ones by REP MOVSB/STOSB, which every CPU with ERMS moves by
 * cache lines (SDM vol. 1, 7.3.9.3).  Vector registers hold the guest's state
 * and are never touched.  A build that defines HOSTED_TEST takes libc's mem*.
 */
#include "base/mem.h"

#include "base/assert.h"
#include "base/bits.h"

#define REP_MIN 256 /* below this the microcode's start-up costs more than a loop */

#ifndef HOSTED_TEST

/* 0..16 bytes, all loads before all stores, so that overlap does no harm. */
static inline void move_small(uint8_t *d, const uint8_t *s, size_t n)
{
    if (n >= 8) {
        uint64_t first = get64(s), last = get64(s + n - 8);
        put64(d, first);
        put64(d + n - 8, last);
    } else if (n >= 4) {
        uint32_t first = get32(s), last = get32(s + n - 4);
        put32(d, first);
        put32(d + n - 4, last);
    } else if (n >= 2) {
        uint16_t first = get16(s), last = get16(s + n - 2);
        put16(d, first);
        put16(d + n - 2, last);
    } else if (n) {
        *d = *s;
    }
}

/* More than 16 bytes, lowest address first: right unless dst lies inside src, behind its start.
 * The last word is read before anything is written. */
static inline void move_up(uint8_t *d, const uint8_t *s, size_t n)
{
    if (n >= REP_MIN) {
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
        return;
    }
    uint64_t last = get64(s + n - 8);
    uint8_t *d_last = d + n - 8;
    for (; d < d_last; d += 8, s += 8)
        put64(d, get64(s));
    put64(d_last, last);
}

/* More than 16 bytes, highest address first. */
static inline void move_down(uint8_t *d, const uint8_t *s, size_t n)
{
    uint64_t first = get64(s);
    size_t i = n;
    for (; i > 8; i -= 8)
        put64(d + i - 8, get64(s + i - 8));
    put64(d, first);
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    if (n <= 16)
        move_small(dst, src, n);
    else
        move_up(dst, src, n);
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    if (n <= 16)
        move_small(dst, src, n);
    else if ((uintptr_t)dst - (uintptr_t)src >= n) /* below src too: the difference wraps */
        move_up(dst, src, n);
    else
        move_down(dst, src, n);
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    uint8_t *d = dst;
    uint64_t word = (uint8_t)c * 0x0101010101010101ull;

    if (n >= REP_MIN) {
        __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    } else if (n >= 8) {
        uint8_t *last = d + n - 8;
        for (; d < last; d += 8)
            put64(d, word);
        put64(last, word);
    } else if (n >= 4) {
        put32(d, (uint32_t)word);
        put32(d + n - 4, (uint32_t)word);
    } else if (n) {
        d[0] = d[n / 2] = d[n - 1] = (uint8_t)c;
    }
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;

    for (; n >= 8 && get64(p) == get64(q); n -= 8, p += 8, q += 8)
        ;
    for (; n; n--, p++, q++)
        if (*p != *q)
            return *p < *q ? -1 : 1;
    return 0;
}

size_t strlen(const char *s)
{
    const char *p = s;

    for (; *p; p++)
        __asm__ volatile("" : : : "memory"); /* or the compiler sees a strlen and calls it */
    return (size_t)(p - s);
}

#endif

void arena_init(struct arena *a, void *base, size_t size)
{
    a->base = base;
    a->size = size;
    a->used = 0;
}

void *arena_alloc(struct arena *a, size_t size, size_t align)
{
    ASSERT(align && (align & (align - 1)) == 0);
    uintptr_t start = (uintptr_t)align_up((uintptr_t)a->base + a->used, align);
    size_t skip = start - (uintptr_t)a->base;

    ASSERT(skip <= a->size && size <= a->size - skip); /* sizes are fixed at start-up */
    a->used = skip + size;
    return memset((void *)start, 0, size);
}
