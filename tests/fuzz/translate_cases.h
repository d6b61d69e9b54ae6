/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fuzzer's cases: random code of likely kinds in fake_bt's RAM, and a random state of its vCPU that runs it. */
#ifndef TESTS_FUZZ_TRANSLATE_CASES_H
#define TESTS_FUZZ_TRANSLATE_CASES_H

#include <stdint.h>

/* All that is drawn from here on follows from @seed. */
void case_seed(uint64_t seed);

/* 0 to n - 1. */
uint32_t draw(uint32_t n);

/* Writes a case over a fresh fake_bt. */
void case_make(void);

#endif
