/*
 * What both worlds see: configuration, consoles, requests, counters, traces.
 *
 * World: VMX and VMM (shared memory; the same layout in every world).  No
 * pointers.  Each field has one writer, named beside it.  The VMM trusts
 * nothing here but the configuration, which it copies and checks
 * (world/config.h); indices of the rings are masked on use.
 */
#ifndef WORLD_CROSS_H
#define WORLD_CROSS_H

#include "base/stats.h"
#include "base/trace.h"
#include "base/types.h"
#include "base/vm.h"

#define CROSS_TX_SIZE 65536u
#define CROSS_RX_SIZE 4096u
#define CROSS_DUMP_SIZE 16384u

enum user_exec { USER_EXEC_AUTO, USER_EXEC_DIRECT, USER_EXEC_TRANSLATE };

/* The registers that a loader starts the guest with (32-bit protected mode, flat segments, paging
 * off, interrupts off), or real mode at F000:FFF0 when !protected_mode. */
struct boot_state {
    uint32_t protected_mode;
    uint32_t gpr[8];
    uint32_t eip;
    uint32_t gdt_base, gdt_limit;   /* a GDT that the loader placed in RAM; 0 = none */
    uint16_t cs, ds;                /* selectors: flat code and data */
};

/* Debug switches: -d style bisection by translator feature. */
struct bt_options {
    uint32_t tu_insns;       /* 1..12, default 12 */
    uint32_t tc_bytes;       /* 0 = all of the window */
    uint8_t no_chain, no_return_cache, no_indirect, no_inline_if, no_inline_seg, no_inline_sys, no_adapt;
    uint8_t adapt_all;       /* each memory operand is looked at as if it had reached into the window before */
    uint8_t interp_only;     /* interpreter for everything */
    uint8_t interp_user, interp_kernel; /* only for user or kernel code */
    uint8_t no_reserve;      /* process world: no pages mapped ahead without rights */
    uint8_t inject_irq;      /* a spurious interrupt at every TU boundary */
    uint8_t monitor_bug;     /* enum monitor_bug (world/monitorbug.h): break on purpose */
    uint8_t check;           /* lock-step: interpreter against translation */
    uint32_t check_from;     /* of code at this EIP and above */
};

/* Where a stopped guest was: what the VMX needs to list its code and stack out of guest RAM. */
#define CROSS_RECENT 8u
struct cross_end {
    uint32_t valid;
    uint32_t code32, stack32, eip, esp, cs_base, ss_base;
    uint32_t cr0, cr3, cr4;
    uint64_t pdpte[4];
    uint32_t nrecent, recent[CROSS_RECENT]; /* EIPs of translation units entered last, latest first */
    uint32_t recent_all;                    /* nothing ran between them that is not listed */
};

struct cross_config {
    uint64_t ram_size;
    uint64_t wallclock_ns;    /* UTC at guest time 0 */
    uint64_t tsc_hz;          /* host TSC frequency, 0 = unknown */
    uint32_t user_exec;       /* enum user_exec */
    uint32_t host_has_nx, host_cpuid_faulting;
    uint32_t host_int1_at;    /* INT1's #DB leaves EIP at it */
    char cpu_model[16];
    struct boot_state boot;
    struct bt_options bt;
    uint32_t debug_exit_port;
    uint32_t profile;         /* count cycles: costs two time stamps an exit */
};

struct cross {
    struct cross_config config;                 /* VMX, before start and at reset */

    /* Console: bytes out (VMM writes head, VMX tail) and in (VMX head, VMM tail). */
    volatile uint32_t tx_head, tx_tail, rx_head, rx_tail;
    uint8_t tx[CROSS_TX_SIZE], rx[CROSS_RX_SIZE];

    volatile uint32_t doorbell;    /* futex word: VMM bumps it to wake the VMX */
    volatile uint32_t wake;        /* futex word: VMX bumps it to wake an idle VMM */
    volatile uint32_t host_stop;   /* VMX: please end the VM */
    volatile uint32_t stats_req;   /* VMX: bump; VMM copies counters to stats_snap and stores it to stats_ack */
    volatile uint32_t stats_ack;
    volatile uint32_t nmi_req;     /* VMX: bump for an NMI; VMM stores it to nmi_ack */
    volatile uint32_t nmi_ack;
    volatile uint32_t reset_req;   /* VMM: bump to have boot image and config.boot reloaded, and wait ... */
    volatile uint32_t reset_ack;   /* ... until the VMX stores the same number here (and kicks) */
    volatile uint32_t started;     /* VMX: images are loaded, run; futex word */

    /* The end (VMM writes, then rings). */
    volatile uint32_t stopped;     /* enum vm_stop_kind */
    int32_t stop_code;
    char stop_msg[256];
    char dump[CROSS_DUMP_SIZE];    /* registers: text */
    struct cross_end end;

    struct stats stats;            /* live counters, VMM */
    struct trace_ring trace;
};

#endif
