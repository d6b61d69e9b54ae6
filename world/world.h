/*
 * The contract between the monitor core and the world it runs in.
 *
 * World: called by the monitor core; bound at link time by world/proc/,
 * world/ring0/ or the tests' fake world.  Units: ns of guest time, bytes,
 * 4 KiB pages.  Ownership: vm->world belongs to the implementation.
 * Errors: as each function says; running out of host resources ends in
 * vm_stop(VM_STOP_HOST).  Order: the world creates struct vm, then calls
 * monitor_main().
 *
 * The window: linear 0xFFC00000-0xFFFFFFFF in the kernel view.  Laid out here
 * because translated code addresses it:
 *   WIN_DATA  the per-VCPU data page(s), read-write, reached by %gs:offset only
 *             (gs base = WIN_DATA while translated code runs)
 *   WIN_STUBS the world's own stubs, read-execute
 *   WIN_TC    the translation cache, read-execute there and writable at
 *             world_tc_rw()
 */
#ifndef WORLD_WORLD_H
#define WORLD_WORLD_H

#include "base/types.h"
#include "base/vm.h"
#include "cpu/vcpu.h"

#define WIN_BASE 0xffc00000u
#define WIN_DATA 0xffc00000u
#define WIN_DATA_SIZE 0x00040000u /* 256 KiB */
#define WIN_STUBS 0xffc40000u
#define WIN_STUBS_SIZE 0x00001000u
#define WIN_TC 0xffc41000u
#define WIN_TC_END 0xfffff000u

/* --- the window --- */
uint8_t *world_tc_rw(struct vm *vm);    /* writable alias of WIN_TC */
void *world_win_data(struct vm *vm);    /* writable alias of WIN_DATA */
/*
 * The callout sequence: transfers to the monitor with %gs:WD_CALLOUT_ARG (bt/windata.h) already
 * stored by the translated code.  Flags and GPRs are preserved into v->gpr / v->hflags; v->exit
 * = {EXIT_CALLOUT}.  Writes the bytes to `out` and returns their number (<= 8).  proc: far jump
 * to the 64-bit stub; ring0: INT 80h from CPL 1.
 */
unsigned world_callout_seq(struct vm *vm, uint8_t out[8]);

/* --- running the guest --- */
/*
 * Recompute host selectors for the segments in v->hsel_dirty from v->seg[] (CS: the flat
 * execute-only code selector that reaches the TC, 16- or 32-bit stack per SS.B by SS itself).
 * user_limit: data segments are truncated to end below it (WIN_BASE in kernel mode).
 * gs_to_fs: bind the real FS to the guest's GS (user code whose FS is null).
 * Sets v->hsel[], v->hseg_base[], clears hsel_dirty.  A segment that can't be expressed
 * gets the null selector, so each use faults and is emulated; SS that can't: returns false (interpret instead).
 */
bool world_seg_sync(struct vcpu *v, gla_t user_limit, bool gs_to_fs);

/*
 * Enter translated code at tca with GPRs from v->gpr, flags from v->hflags, segments from
 * v->hsel[].  Returns at the next exit with v->gpr, v->hflags and v->exit filled.  The guest's FPU
 * state is live in the registers before and after.  If v->attention is set: EXIT_NONE, nothing ran.
 */
void world_enter(struct vcpu *v, tca_t tca);

/*
 * Direct execution of CPL-3 code at v->eip in user view `view`: GPRs, EFLAGS, segments (the guest's
 * own selectors' bases and limits).  Returns EXIT_FAULT (tca = guest EIP, v->eip set), EXIT_SOFTINT,
 * EXIT_ATTENTION or EXIT_ESCAPE.  FPU state as in world_enter().
 */
void world_enter_direct(struct vcpu *v, unsigned view);
/* What direct execution is like in this world. */
#define DIRECT_SHOWS_SELECTORS BIT(0) /* of the host: in loads and stores of segment registers, LAR, LSL, VERR, VERW */
#define DIRECT_SHOWS_TABLES BIT(1)    /* SGDT, SIDT, SLDT, STR, SMSW */
#define DIRECT_SHOWS_SYSCALLS BIT(2)  /* SYSENTER and SYSCALL go to the host's kernel */
#define DIRECT_SHOWS_CPUID BIT(3)
#define DIRECT_SHOWS_XSTATE BIT(4)    /* XSAVE, XRSTOR and kin, XGETBV; RDPKRU and WRPKRU, which the guest has not */
#define DIRECT_SHOWS_DESCRIPTORS BIT(5) /* LAR, LSL, VERR and VERW may say other than of the guest's tables */
struct direct_traits {
    unsigned shows;
    bool cheap;    /* a trap costs no more than a callout: user code had better run directly from the start */
    bool own_xcr0; /* the guest's CR4.OSXSAVE and XCR0 hold: no vector register is there that its kernel does not save */
};
struct direct_traits world_direct_traits(struct vm *vm);
bool world_direct_ok(struct vcpu *v); /* can these segments be entered directly? (if not: EXIT_NONE) */
/* They could, they are the same, and no descriptor table has moved since: can they still be? */
bool world_direct_again(struct vcpu *v);
unsigned world_direct_views(struct vm *vm); /* how many user views exist, 0 = no direct execution here */

/* --- shadow page tables --- */
/*
 * Are views 1 and up spaces (shadowmmu/mmu.h) rather than user views? Then a slot (2 MiB) in which such a view has nothing mapped shows
 * what view 0 has there, and world_load_view() says which one translated and direct code run in from now on; mmu_init()
 * is the first to do so.
 */
bool world_spaces(struct vm *vm);
void world_load_view(struct vm *vm, unsigned view);
/* Spaces: has the page been written to through this mapping since it was mapped, or since this was asked last? */
bool world_take_dirty(struct vm *vm, unsigned view, gla_t gla);
/* Spaces: a mapped page's entry; PTE_D says that world_take_dirty() would be true.  It stays in its place until the page is unmapped. */
const uint64_t *world_entry(struct vm *vm, unsigned view, gla_t gla);
#define MAP_R 0u
#define MAP_W 1u
#define MAP_X 2u
#define MAP_U 4u /* a user page; only spaces need to know */
#define MAP_SOON 8u /* the guest is about to touch them all: what saves the host's faults pays */
/* Map npages of guest RAM at gpa to gla in a view (replacing what was there); false: resources ran out, perhaps half way;
 * the caller drops entries, where views are spaces of any of them, and tries the very same again. */
bool world_map(struct vm *vm, unsigned view, gla_t gla, gpa_t gpa, uint32_t npages, unsigned prot);
bool world_protect(struct vm *vm, unsigned view, gla_t gla, uint32_t npages, unsigned prot);
bool world_unmap(struct vm *vm, unsigned view, gla_t gla, uint32_t npages);
#define WORLD_MAX_RUNS 40000u /* runs (VMAs) a view may hold at once */
gla_t world_min_gla(struct vm *vm); /* lowest mappable address (vm.mmap_min_addr) */

/* --- time and events --- */
uint64_t world_now(struct vm *vm);                   /* guest time, ns */
void world_set_alarm(struct vm *vm, uint64_t when);  /* set v->attention at guest time `when`, perhaps before too; UINT64_MAX = off */
void world_idle(struct vm *vm, uint64_t until);      /* sleep until then or any event */

/* Whoever loops without entering the guest calls this at each turn: in a world that masks the host's interrupts while
 * the monitor works, they are taken here. */
void world_breathe(struct vm *vm);

/* --- requests to the VMX --- */
#define USERCALL(name, text) USERCALL_##name,
enum usercall {
#include "world/usercall.def"
    USERCALL_COUNT
};
#undef USERCALL
/* Ring the VMX; DOORBELL-like requests do not wait, RESET waits until the VMX has reloaded RAM and config.boot. */
void world_usercall(struct vm *vm, enum usercall call, uint32_t arg);

/* --- library fence: around code that may touch vector registers or needs the host's FS --- */
void world_fence_begin(struct vm *vm);
void world_fence_end(struct vm *vm);

/* --- the core's entry --- */
/* Runs the VM until it stops; vm->cross, ram, stats, trace, world, arena are set. */
void monitor_main(struct vm *vm);

#endif
