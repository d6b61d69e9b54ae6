/*
 * memcpy and friends for code without libc, and the bump arena that the
 * monitor takes its memory from.
 *
 * World: monitor and host (the hosted build links libc's mem* instead).
 * Units: bytes.  Ownership: an arena owns its block; nothing is ever freed
 * one by one.  Errors: arena_alloc never returns NULL; an exhausted arena is
 * a BUG (sizes are fixed at start-up).  Order: arena_init before arena_alloc.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/types.h"

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

struct arena {
    uint8_t *base;
    size_t size, used;
};

void arena_init(struct arena *a, void *base, size_t size);
void *arena_alloc(struct arena *a, size_t size, size_t align); /* zeroed */

/* Unaligned little-endian access. */
static inline uint16_t get16(const void *p) { uint16_t x; __builtin_memcpy(&x, p, 2); return x; }
static inline uint32_t get32(const void *p) { uint32_t x; __builtin_memcpy(&x, p, 4); return x; }
static inline uint64_t get64(const void *p) { uint64_t x; __builtin_memcpy(&x, p, 8); return x; }
static inline void put16(void *p, uint16_t x) { __builtin_memcpy(p, &x, 2); }
static inline void put32(void *p, uint32_t x) { __builtin_memcpy(p, &x, 4); }
static inline void put64(void *p, uint64_t x) { __builtin_memcpy(p, &x, 8); }

#endif
