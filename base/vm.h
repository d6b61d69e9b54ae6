/*
 * struct vm: the root that everything else hangs off, and vm_stop().
 *
 * World: monitor (private to it; what the VMX must see lives in
 * world/cross.h).  Owner: the world that created the VM.  vm_stop() records
 * the first reason only; the run loop then leaves and the guest never runs
 * again.  It returns, so callers go on with any harmless value.
 */
#ifndef BASE_VM_H
#define BASE_VM_H

#include "base/mem.h"
#include "base/stats.h"
#include "base/trace.h"
#include "base/types.h"

struct vcpu;
struct mmu;
struct bt;
struct board;
struct world;
struct direct;
struct inject;
struct undo;
struct cross;
struct cross_config;

enum vm_stop_kind {
    VM_RUNNING,
    VM_STOP_HALTED,      /* HLT with IF=0: the guest powered off */
    VM_STOP_RESET,       /* the guest asked for a reset */
    VM_STOP_EXIT,        /* isa-debug-exit; code in stop_code */
    VM_STOP_TRIPLE,      /* triple fault */
    VM_STOP_UNSUPPORTED, /* the guest asked for what we can't do */
    VM_STOP_BUG,         /* our own bug */
    VM_STOP_HOST,        /* the host asked (signal, terminal gone) */
    VM_STOP_DIVERGED,    /* --check found a difference */
};

struct vm {
    uint8_t *ram;       /* guest RAM, gpa 0 .. ram_size-1, contiguous */
    uint64_t ram_size;  /* bytes, a multiple of 4 KiB, 16 MiB .. 3 GiB */
    struct stats *stats;
    struct trace_ring *trace;
    struct cross *cross;
    struct cross_config *config; /* copied from cross and checked: world/config.h */
    struct vcpu *vcpu;
    struct mmu *mmu;
    struct bt *bt;
    struct board *board;
    struct world *world;
    struct direct *direct;
    struct inject *inject; /* NULL: no interrupts are invented */
    struct undo *undo; /* not NULL: guest memory writes are on trial (base/undo.h) */
    struct arena arena;
    uint64_t start_tsc; /* host TSC when the VM started */
    enum vm_stop_kind stop;
    int stop_code;
    char stop_msg[256];
};

void vm_stop(struct vm *vm, enum vm_stop_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
