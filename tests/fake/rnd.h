/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random numbers that a seed repeats: a linear congruential generator's upper 31 bits. */
#ifndef TESTS_FAKE_RND_H
#define TESTS_FAKE_RND_H

#include <stdint.h>

static inline uint32_t rnd(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*seed >> 33);
}

#endif
