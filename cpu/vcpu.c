/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual CPU as a whole: reset and dump (SDM vol. 3A 9.1, table 9-1).
 *
 * After RESET the processor is in real mode with CS.base at the top of
 * memory, so that it fetches from FFFFFFF0h though CS:IP reads F000:FFF0.
 * EDX holds the signature that CPUID gives.  The FPU's state is live in the
 * host's registers and is not ours to reset here.
 */
#include "base/fmt.h"
#include "cpu/cpuid.h"

static void reset_segments(struct vcpu *v)
{
    for (unsigned i = 0; i < SEG_COUNT; i++)
        v->seg[i] = (struct seg){.attr = 0x93, .limit = 0xffff};
    v->seg[SEG_CS] = (struct seg){.sel = 0xf000, .attr = 0x9b, .base = 0xffff0000, .limit = 0xffff};
    v->ldtr = (struct seg){.attr = 0x82, .limit = 0xffff};
    v->tr = (struct seg){.attr = 0x8b, .limit = 0xffff};
    v->gdtr = (struct dtr){.limit = 0xffff};
    v->idtr = (struct dtr){.limit = 0xffff};
    v->hsel_dirty = (1u << SEG_COUNT) - 1;
}

void vcpu_reset(struct vcpu *v)
{
    const struct cpuid_model *cpuid = v->cpuid;
    struct vm *vm = v->vm;
    void *exit_entry = v->exit_entry;
    uint64_t mon_rsp = v->mon_rsp;
    uint32_t gen = v->mmu_mode_gen, gmem_gen = v->gmem_gen, id[4];
    uint64_t changes = v->changes;

    memset(v, 0, sizeof(*v));
    v->cpuid = cpuid;
    v->vm = vm;
    v->exit_entry = exit_entry;
    v->mon_rsp = mon_rsp;
    v->mmu_mode_gen = gen + 1;
    v->gmem_gen = gmem_gen + 1;
    v->changes = changes + 1;

    reset_segments(v);
    cpuid_query(v, 1, 0, id);
    v->gpr[REG_EDX] = id[0];
    v->eip = 0xfff0;
    v->eflags = EFLAGS_FIXED;
    v->cr0 = CR0_CD | CR0_NW | CR0_ET;
    v->dr[6] = 0xffff0ff0;
    v->dr[7] = 0x00000400;
    v->pat = 0x0007040600070406ull;
    v->apic_base = 0xfee00100; /* bootstrap processor, APIC off */
    v->misc_enable = BIT(0) | BIT(11) | BIT(12); /* fast strings; no BTS, no PEBS */
    v->xcr0 = 1;
}

/* --- dump --- */

struct dump {
    char *buf;
    size_t size, used;
};

static void __attribute__((format(printf, 2, 3))) dump_add(struct dump *d, const char *format, ...)
{
    size_t at = d->used < d->size ? d->used : d->size;
    va_list ap;

    va_start(ap, format);
    d->used += fmt_v(d->buf + at, d->size - at, format, ap);
    va_end(ap);
}

static void dump_flags(struct dump *d, uint32_t eflags)
{
    static const struct {
        uint32_t bit;
        char name[4];
    } names[] = {
        {EFLAGS_CF, "CF"}, {EFLAGS_PF, "PF"}, {EFLAGS_AF, "AF"}, {EFLAGS_ZF, "ZF"}, {EFLAGS_SF, "SF"},
        {EFLAGS_TF, "TF"}, {EFLAGS_IF, "IF"}, {EFLAGS_DF, "DF"}, {EFLAGS_OF, "OF"}, {EFLAGS_NT, "NT"},
        {EFLAGS_RF, "RF"}, {EFLAGS_VM, "VM"}, {EFLAGS_AC, "AC"}, {EFLAGS_ID, "ID"},
    };

    dump_add(d, "eflags=%08x", eflags);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (eflags & names[i].bit)
            dump_add(d, " %s", names[i].name);
    dump_add(d, " IOPL=%u\n", (unsigned)(eflags >> 12 & 3));
}

static void dump_seg(struct dump *d, const char *name, const struct seg *s)
{
    dump_add(d, "%s=%04x base=%08x limit=%08x attr=%04x\n", name, (unsigned)s->sel, s->base, s->limit,
             (unsigned)s->attr);
}

static const char *mode_name(const struct vcpu *v)
{
    if (!vcpu_pe(v))
        return "real mode";
    if (vcpu_v86(v))
        return "V86";
    return vcpu_code32(v) ? "protected, 32 bits" : "protected, 16 bits";
}

int vcpu_dump(const struct vcpu *v, char *buf, size_t size)
{
    struct dump d = {.buf = buf, .size = size};

    dump_add(&d, "eip=%08x cpl=%u %s%s%s%s\n", v->eip, (unsigned)v->cpl, mode_name(v),
             v->halted ? " halted" : "", v->shadow ? " interrupt-shadow" : "", v->nmi_blocked ? " nmi-blocked" : "");
#define X(NAME, name) dump_add(&d, #name "=%08x%s", v->gpr[REG_##NAME], REG_##NAME % 4 == 3 ? "\n" : " ");
    GPR_LIST(X)
#undef X
    dump_flags(&d, v->eflags);
#define X(NAME, name) dump_seg(&d, #name, &v->seg[SEG_##NAME]);
    SEG_LIST(X)
#undef X
    dump_seg(&d, "ldtr", &v->ldtr);
    dump_seg(&d, "tr", &v->tr);
    dump_add(&d, "gdtr base=%08x limit=%04x idtr base=%08x limit=%04x\n", v->gdtr.base,
             (unsigned)v->gdtr.limit, v->idtr.base, (unsigned)v->idtr.limit);
    dump_add(&d, "cr0=%08x cr2=%08x cr3=%08x cr4=%08x efer=%08x\n", v->cr0, v->cr2, v->cr3, v->cr4,
             (unsigned)v->efer);
    dump_add(&d, "dr0=%08x dr1=%08x dr2=%08x dr3=%08x dr6=%08x dr7=%08x\n", v->dr[0], v->dr[1], v->dr[2],
             v->dr[3], v->dr[6], v->dr[7]);
    if (v->cr4 & CR4_PAE)
        for (unsigned i = 0; i < 4; i++)
            dump_add(&d, "pdpte%u=%016llx%s", i, (unsigned long long)v->pdpte[i], i == 3 ? "\n" : " ");
    dump_add(&d, "sysenter cs=%04x esp=%08x eip=%08x tsc_offset=%llx\n", v->sysenter_cs, v->sysenter_esp,
             v->sysenter_eip, (unsigned long long)v->tsc_offset);
    return (int)d.used;
}
