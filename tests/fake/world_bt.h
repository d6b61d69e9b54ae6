/*
 * A world and a memory for the translator alone: the window is ordinary
 * memory, guest RAM is 1 MiB with a page map of its own, and world_enter() is a
 * CPU emulated by the interpreter that runs the bytes in the translation cache.
 *
 * World: unit tests, fuzzer, golden listings.  Owner: static, one VM a process.
 * The emulated CPU faults on pages that are not in the shadow or under trace,
 * stops on breakpoints, and gets an attention after `attention_in` steps, so the
 * way from a TC address back to the guest's state is exercised as on a real host.
 * x87 and vector instructions do nothing.  What bt/ wants of shadowmmu/ is here too.
 */
#ifndef FAKE_WORLD_BT_H
#define FAKE_WORLD_BT_H

#include "bt/bt_priv.h"

#define FAKE_BT_RAM 0x100000u
#define FAKE_BT_PAGES (FAKE_BT_RAM >> PAGE_SHIFT)
#define FAKE_BT_GDT 0x1000u
#define FAKE_BT_TSS 0x1f00u
#define FAKE_BT_IDT 0x2000u
#define FAKE_BT_TOP 0xffff0000u  /* the guest has the 64 KiB of memory at .._AT here, too: behind the window, for its own code */
#define FAKE_BT_TOP_AT 0x60000u
#define FAKE_BT_HANDLERS 0x3000u /* 16 bytes a vector */
#define FAKE_TC_SIZE (WIN_TC_END - WIN_TC)

struct fake_bt {
    struct vm vm;
    struct vcpu vcpu, emu;
    gpn_t map[FAKE_BT_PAGES];        /* linear page -> gpn, NO_GPN absent; identity at first */
    bool traced[FAKE_BT_PAGES];      /* by gpn */
    bool hidden[FAKE_BT_PAGES];      /* by linear page: not in the shadow until mmu_fill() */
    struct mmu_gens gens;
    gla_t user_limit;                /* mmu_user_limit() */
    unsigned traces, untraces, enters, fills;
    uint32_t attention_in;           /* steps until an attention, 0 = none */
    uint64_t steps, tsc;
    /* Called before each step of the emulated CPU, with its registers. */
    void (*on_step)(struct vcpu *emu);
    _Alignas(64) uint8_t window[WIN_DATA_SIZE];
    _Alignas(64) uint8_t tc[FAKE_TC_SIZE];
};

extern struct fake_bt fake_bt;

/* A VM in flat 32-bit protected mode at CPL 0, paging off as far as anybody can see; bt_init() done. */
struct vm *fake_bt_new(const struct bt_options *opt);
/* The same with everything forgotten; much cheaper. */
void fake_bt_again(void);
/* The same vCPU state again (not the translator's). */
void fake_bt_vcpu(unsigned cpl);
/* Put code at gla and set EIP to it. */
void fake_bt_code(uint32_t gla, const void *bytes, unsigned len);
/* Run as the run loop does, until the guest halts or stops, or for so many turns. */
void fake_bt_run(uint64_t turns);
/* Check all of the translator's lists against each other; stops the process at the first contradiction. */
void fake_bt_consistent(void);

#endif
