/*
 * What the scenario files of world_proc.c share.
 *
 * World: monitor (freestanding), inside a test's forked kernel view.  A failed CHECK stops the VM with the
 * place.
 */
#ifndef TESTS_UNIT_WORLD_PROC_MONITOR_H
#define TESTS_UNIT_WORLD_PROC_MONITOR_H

#include "world/cross.h"
#include "world/world.h"

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            vm_stop(vm, VM_STOP_DIVERGED, "line %d: %s (kind %u tca %#x vec %u err %#x cr2 %#x)", __LINE__,  \
                    #cond, vm->vcpu->exit.kind, vm->vcpu->exit.tca, vm->vcpu->exit.vec, vm->vcpu->exit.err,  \
                    vm->vcpu->exit.cr2);                                                                     \
            return;                                                                                          \
        }                                                                                                    \
    } while (0)

static inline uint64_t tsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}

static inline struct seg seg_flat_data(void)
{
    return (struct seg){ .sel = 0x10,
                         .attr = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW | SEG_ATTR_A | SEG_ATTR_DB,
                         .limit = 0xffffffff };
}

#define REGS_SET(v)                                                                                          \
    do {                                                                                                     \
        for (unsigned i_ = 0; i_ < 8; i_++)                                                                  \
            (v)->gpr[i_] = 0x11111111u * (i_ + 1);                                                           \
        (v)->hflags = EFLAGS_CF | EFLAGS_OF | EFLAGS_DF;                                                     \
    } while (0)

static inline bool regs_are(struct vcpu *v)
{
    for (unsigned i = 0; i < 8; i++)
        if (v->gpr[i] != 0x11111111u * (i + 1))
            return false;
    return (v->hflags & EFLAGS_LIVE) == (EFLAGS_CF | EFLAGS_OF | EFLAGS_DF) && !(v->hflags & EFLAGS_RF);
}

/* world_proc_direct.c */
void run_direct(struct vm *vm);
void run_direct_segments(struct vm *vm);
void run_direct_attention(struct vm *vm);
void run_direct_storm(struct vm *vm);
void run_direct_fpu(struct vm *vm);
void run_direct_timing(struct vm *vm);
void run_direct_kill(struct vm *vm);
void run_direct_keys(struct vm *vm);
void run_escape_fault(struct vm *vm);
void run_escape_getpid(struct vm *vm);
void run_escape_mmap(struct vm *vm);
void run_escape_spin(struct vm *vm);
void run_escape_touch(struct vm *vm);
void run_escape_mprotect(struct vm *vm);
void run_escape_int80(struct vm *vm);
void run_escape_deaf(struct vm *vm);
void run_escape_deaf_back(struct vm *vm);
void run_host_selector_2b(struct vm *vm);
void run_host_selector_33(struct vm *vm);

#endif
