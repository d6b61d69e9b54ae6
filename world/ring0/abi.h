/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the three parts of the ring-0 world agree on: the kernel helper (btmon.ko), the monitor image inside
 * it, and the VMX that calls it.
 *
 * World: all three; plain data, no pointers.  Units: bytes, ns of the host's CLOCK_MONOTONIC, TSC cycles.
 * Ownership: the module owns every page named here but the guest's RAM and the shared pages, which the caller
 * contributes and can write at any time.  Errors: ioctls return negative errnos as their comments say.
 *
 * Trust: module and monitor are one program that root installed; they believe each other.  Neither believes the
 * caller: his pages hold guest RAM and struct cross, nothing that the monitor's safety depends on.
 *
 * Layout of the VMM world (4- and 5-level paging alike): linear 0-4 GiB is the guest's, through the four entries
 * of the page at MON_LOW_PDPT, which the monitor sets; the 512 GiB from MON_BASE on are the monitor's;
 * the host's half holds nothing but the crosspage (code and data), where the host has it too.
 */
#ifndef WORLD_RING0_ABI_H
#define WORLD_RING0_ABI_H

#if defined(__KERNEL__) || __STDC_HOSTED__
#include <linux/ioctl.h>
#include <linux/types.h>
#else
#include <stdint.h>
typedef uint64_t __u64;
typedef uint32_t __u32;
typedef uint16_t __u16;
typedef uint8_t __u8;
#endif

#define BTMON_DEVICE "/dev/btmon"
#define BTMON_VERSION 3u /* of everything in this file */

/* --- the VMM world's linear addresses --- */
#define MON_BASE 0x8000000000ul
#define MON_IMAGE 0x8000000000ul     /* the monitor: text read-execute, then constants read-only */
#define MON_STACK_TOP 0x8010010000ul /* MON_STACK_SIZE below it, an unmapped page below that */
#define MON_STACK_SIZE 0x10000ul
#define MON_IST_TOP(n) (0x8010020000ul + (n) * 0x4000ul) /* n = 1..3: a page each below, guarded */
#define MON_SHARED 0x8020000000ul    /* struct cross of world/cross.h: the caller's pages */
#define MON_PRIVATE 0x8040000000ul   /* zeroed kernel memory, read-write: arena, shadow tables, window */
#define MON_PFN_PRIVATE 0x8080000000ul /* __u32 per private page: its page frame number; read-only */
#define MON_PFN_RAM 0x8081000000ul   /* __u32 per page of guest RAM; read-only */
#define MON_LOW_PDPT 0x8082000000ul  /* the page whose entries 0..3 lead to linear 0-4 GiB; read-write */
#define MON_RAM 0x8100000000ul       /* guest RAM, read-write */
#define MON_PRIVATE_MAX 0x40000000ul

/* First bytes of the monitor image (a flat binary, linked at MON_IMAGE). */
#define MON_MAGIC 0x6e6f6d7462ul /* "btmon" */
struct mon_header {
    __u64 magic;
    __u32 version;    /* BTMON_VERSION */
    __u32 pad;
    __u64 entry;      /* void entry(struct btmon_cross *), on the stack at MON_STACK_TOP, IF = 0, never returns */
    __u64 text_size;  /* bytes from MON_IMAGE on that are executable (a multiple of 4 KiB, header included); what follows is read-only */
    __u64 ram_min, ram_max, shared_min, private_min; /* bytes that it can do with */
};

/* --- the crosspage: between module and monitor --- */
/*
 * The VMM world's 64-bit code selector in the cross GDT, which the switch IDT's gates use. The monitor's own GDT has the
 * same descriptor there, so that an NMI finds it whichever of the two tables and IDTs are loaded.
 */
#define BTMON_CS 0xff0u
enum btmon_op {         /* what the monitor asks of the module when it calls to_host() */
    BTMON_OP_NONE,      /* come back at once (after arming the alarm) */
    BTMON_OP_INTR,      /* vector arg interrupted the VMM world: let the host handle it, then come back */
    BTMON_OP_USER,      /* return from BTMON_RUN with code and arg */
    BTMON_OP_DEAD,      /* the monitor has found itself broken: never enter again */
};

#define BTMON_WHY_SIZE 120u

/* Exceptions that came while worlds were being switched, and wait for the host. */
#define BTMON_HELD_NMI 1u
#define BTMON_HELD_MC 2u

struct btmon_cross_abi {
    __u64 self;         /* linear address of this structure, in both worlds */
    __u64 to_host;      /* void to_host(struct btmon_cross_abi *): an ordinary call (callee-saved registers and RSP
                         * survive). IF = 0 on both sides. It returns on CS = BTMON_CS with the cross GDT and the switch
                         * IDT loaded; the monitor then loads its own GDT, IDT, LDTR, TR and data segments. CR0, CR4,
                         * CR3 are the monitor's again; FPU registers and CR2 are not preserved; EFER and SYSENTER_CS
                         * are the host's. */
    /* Monitor to module. */
    __u32 op, code;
    __u64 arg;
    char why[BTMON_WHY_SIZE]; /* BTMON_OP_DEAD: for the kernel's log, terminated */
    __u64 alarm;        /* CLOCK_MONOTONIC ns at which event is to be set and the VMM world to be left; ~0 none */
    __u32 trace;        /* take the time stamps below */
    __u32 pad0;
    /* Module to monitor. */
    __u32 event;        /* the alarm fired, or the caller said so; the monitor clears it */
    __u32 la57;         /* 5-level paging */
    __u64 anchor_ns, anchor_tsc; /* CLOCK_MONOTONIC at a TSC value, renewed at entry when 10 ms old */
    __u64 tsc_khz;
    __u64 vmm_cr3;      /* of the VMM world; the monitor reloads it to flush the TLB */
    __u64 vmm_cr0, vmm_cr4; /* as they are in the VMM world */
    __u64 ram_size, shared_size, private_size;
    /* Of the last switch: VMM left; before and after INT n; back to the caller, where user_returns has grown; about to enter. */
    __u64 tsc_left, tsc_raised, tsc_handled, tsc_returned, tsc_entered;
    __u32 user_returns; /* how often BTMON_RUN has gone back to the caller */
    __u32 switches;
    __u32 held;         /* BTMON_HELD_*: not 0 after to_host() and with the monitor's IDT loaded: call to_host() with
                         * BTMON_OP_NONE at once, before any IRET (NMIs are still blocked, and the host's
                         * handler relies on that) */
    __u32 pad1;
    __u64 stress_steps, stress_nmis; /* self-test: instructions of the switch that were stepped, NMIs held behind one */
};

/*
 * --- BTMON_DEVICE: one open file is one VM with one VCPU. To open it can fail with -EOPNOTSUPP: the host has become one
 * that the module does not work on (locked down); -ENOMEM ---
 */
struct btmon_create {
    __u32 version;      /* BTMON_VERSION, else -EPROTO */
    __u32 pad;
    __u64 ram_addr, ram_size;       /* caller's memory, page aligned; pinned until close */
    __u64 shared_addr, shared_size; /* caller's memory for struct cross; likewise */
    __u64 private_size;             /* kernel memory for the monitor */
    /* All that counts against RLIMIT_MEMLOCK, and so does what the module takes besides: at most BTMON_EXTRA(the sum of the sizes) */
};
#define BTMON_EXTRA(sum) ((sum) / 256 + 0x100000u) /* page tables, tables of page frame numbers, stacks */
struct btmon_run {
    __u32 event;        /* in: wake the monitor's run loop */
    __u32 code;         /* out: from BTMON_OP_USER */
    __u64 arg;
};
#define BTMON_GET_VERSION _IO('b', 0) /* returns BTMON_VERSION */
/* -EPROTO version; -EINVAL; -ENOMEM (also RLIMIT_MEMLOCK); -EBUSY created already; -EFAULT */
#define BTMON_CREATE _IOW('b', 1, struct btmon_create)
/* 0: code and arg are set; -EINTR: a signal is pending, or the kernel has something else to do on the way to user
 * code: call again; -EIO: the monitor is dead; -EBUSY: running already */
#define BTMON_RUN _IOWR('b', 2, struct btmon_run)

/* Codes of BTMON_OP_USER. */
enum btmon_user {
    BTMON_USER_CALL,    /* arg: enum usercall: look at struct cross (ring its doorbell), then run on */
    BTMON_USER_IDLE,    /* sleep until CLOCK_MONOTONIC ns arg, or until cross->wake changes from what it was at the last return */
    BTMON_USER_END,     /* the VM has ended; cross->stopped says how */
};

#endif
