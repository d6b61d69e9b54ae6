/*
 * Bit helpers: fields, sign extension, alignment.  World: any.  Pure functions.
 */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include "base/types.h"

#define BIT(n) (1u << (n))
#define BIT64(n) (1ull << (n))

static inline uint32_t bits(uint64_t x, unsigned lo, unsigned n)
{
    return (uint32_t)((x >> lo) & ((1ull << n) - 1));
}

static inline uint32_t sext8(uint32_t x) { return (uint32_t)(int32_t)(int8_t)x; }
static inline uint32_t sext16(uint32_t x) { return (uint32_t)(int32_t)(int16_t)x; }

static inline uint64_t align_up(uint64_t x, uint64_t a) { return (x + a - 1) & ~(a - 1); }
static inline uint64_t align_down(uint64_t x, uint64_t a) { return x & ~(a - 1); }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

#endif
