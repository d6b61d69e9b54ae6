/*
 * The real CPU as an engine, and its machinery for running one instruction in
 * 64-bit mode (used to bind cpu/fpnative.h).  World: hosted tests only.
 */
#ifndef TESTS_DIFF_NATIVE_H
#define TESTS_DIFF_NATIVE_H

#include "tests/diff/diff.h"

struct native_ctx {
    uint32_t gpr[8];
    uint32_t eip, eflags;
    uint16_t sel[6];
    uint32_t unused0;
    uint64_t saved_rsp;       /* 56 */
    void *return_to;          /* 64: 64-bit code jumps through this */
    uint64_t fs_base, gs_base;
    uint64_t rsp;             /* 88 */
    uint64_t r8;              /* 96 */
    uint64_t rip;             /* 104 */
    uint32_t trap;            /* NATIVE_NO_TRAP or the vector */
    uint32_t err;
    uint32_t cr2;
    uint32_t stepped;         /* #DB by EFLAGS.TF */
    uint8_t fx[512];          /* 128 */
} __attribute__((aligned(64)));

#define NATIVE_NO_TRAP 0xffffffffu
#define NATIVE_TIMEOUT 0xfffffffeu
#define NATIVE_SYSCALL 0xfffffffdu

bool native_init(void);
/* Runs what the context describes until its way out or a trap. */
void native_run(struct native_ctx *c);

#endif
