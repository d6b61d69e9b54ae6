// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The monitor's descriptor tables: GDT, LDT, IDT and TSS of the VMM world.
 *
 * All gates are interrupt gates of DPL 0, so that a guest's INT n is a #GP and whatever arrives at a vector from
 * 32 on is the host's; except INT3 and INTO, which a guest may execute, and VEC_CALLOUT. The TSS has no I/O
 * permission map: every port access below CPL 0 traps (SDM vol. 1 19.5.2).
 *
 * Only the double fault has a stack of its own. NMIs and machine checks take the stack that they find: in the
 * guest RSP0, in the monitor its own, which is valid at every instruction, and code without a red zone.
 */
#include "world/ring0/ring0.h"

#define GATE_INT64 0x8eu
#define GATE_DPL3 0x60u
#define DESC_CODE64 0x00209b0000000000ull
#define DESC_CODE32_X 0x00cf99000000ffffull /* execute-only, accessed, DPL 0 */
#define DESC_DPL(n) ((uint64_t)(n) << 45)
#define DESC_DATA_A 0x0000910000000000ull /* present, S, data, accessed */
#define DESC_W BIT64(41)
#define DESC_EC BIT64(42)
#define DESC_DB BIT64(54)
#define DESC_G BIT64(55)
#define DESC_TSS64 0x0000890000000000ull
#define DESC_LDT64 0x0000820000000000ull
#define DESC_BUSY BIT64(41)

struct __attribute__((packed)) table_register {
    uint16_t limit;
    uint64_t base;
};

static uint64_t descriptor(uint64_t bits, uint32_t base, uint32_t limit)
{
    return bits | (limit & 0xffff) | (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)(base & 0xffffff) << 16 |
           (uint64_t)(base >> 24) << 56;
}

uint64_t ring0_descriptor(const struct truncated *t, unsigned dpl)
{
    uint64_t bits = DESC_DATA_A | DESC_DPL(dpl);

    if (!(t->flags & TRUNC_RDONLY))
        bits |= DESC_W;
    if (t->flags & TRUNC_DOWN)
        bits |= DESC_EC;
    if (t->flags & TRUNC_BIG)
        bits |= DESC_DB;
    if (t->flags & TRUNC_PAGES)
        bits |= DESC_G;
    return descriptor(bits, t->base, t->limit);
}

/* TSS and LDT descriptors take two entries. */
static void put_system(uint8_t *at, uint64_t bits, uint64_t base, uint32_t limit)
{
    put64(at, descriptor(bits, (uint32_t)base, limit));
    put64(at + 8, base >> 32);
}

static void gdt_init(struct world *w)
{
    const struct truncated data = { WIN_DATA, WIN_DATA_SIZE - 1, TRUNC_VALID | TRUNC_BIG };
    const struct truncated flat = { 0, 0xfffff, TRUNC_VALID | TRUNC_BIG | TRUNC_PAGES };

    put64(w->gdt + BTMON_CS, DESC_CODE64);
    put64(w->gdt + (SEL_BT_CS & ~7u), DESC_CODE32_X | DESC_DPL(1));
    put64(w->gdt + (SEL_BT_GS & ~7u), ring0_descriptor(&data, 1));
    put64(w->gdt + (SEL_BT_FLAT & ~7u), ring0_descriptor(&flat, 1));
    put_system(w->gdt + SEL_TSS, DESC_TSS64, (uint64_t)w->tss, sizeof *w->tss - 1);
    put_system(w->gdt + SEL_LDT, DESC_LDT64, (uint64_t)w->ldt, GDT_SIZE - 1);
}

static void idt_init(struct world *w)
{
    for (unsigned vec = 0; vec < 256; vec++) {
        uint64_t stub = vec == VEC_CALLOUT ? (uint64_t)ring0_callout : (uint64_t)ring0_stubs + 16 * vec;
        bool guest_may = vec == VEC_BP || vec == VEC_OF || vec == VEC_CALLOUT;

        w->idt[vec] = (struct gate64){ .offset0 = (uint16_t)stub, .sel = BTMON_CS,
                                       .ist = vec == VEC_DF ? IST_DF : 0,
                                       .type = (uint8_t)(GATE_INT64 | (guest_may ? GATE_DPL3 : 0)),
                                       .offset1 = (uint16_t)(stub >> 16), .offset2 = (uint32_t)(stub >> 32) };
    }
}

void ring0_tables_init(struct world *w)
{
    struct arena *a = &w->vm->arena;

    w->gdt = arena_alloc(a, GDT_SIZE, PAGE_SIZE);
    w->ldt = arena_alloc(a, GDT_SIZE, PAGE_SIZE);
    w->idt = arena_alloc(a, 256 * sizeof *w->idt, PAGE_SIZE);
    w->tss = arena_alloc(a, sizeof *w->tss, 128);
    w->tss->rsp[0] = MON_IST_TOP(2);
    w->tss->ist[IST_DF - 1] = MON_IST_TOP(IST_DF);
    w->tss->iomap = sizeof *w->tss;
    gdt_init(w);
    idt_init(w);
    ring0_tables_load(w);
}

/*
 * The switch IDT is live until LIDT: NMIs find BTMON_CS in either GDT.  Segment registers are left for whoever
 * enters the guest; a null SS is right for 64-bit code at CPL 0.
 */
void ring0_tables_load(struct world *w)
{
    const struct table_register gdt = { GDT_SIZE - 1, (uint64_t)w->gdt }, idt = { 256 * 16 - 1, (uint64_t)w->idt };

    put64(w->gdt + SEL_TSS, get64(w->gdt + SEL_TSS) & ~DESC_BUSY);
    __asm__ volatile("lgdt %0\n\t"
                     "mov %k2, %%ss\n\t"
                     "lldt %w3\n\t"
                     "ltr %w4\n\t"
                     "lidt %1"
                     :
                     : "m"(gdt), "m"(idt), "r"(0), "r"(SEL_LDT), "r"(SEL_TSS)
                     : "memory");
    w->loaded = LOADED_NOTHING;
}
