/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interpreter as an engine, over a fake of cpu/gmem.h that models the
 * memory map of diff.h for CPL 3.
 *
 * A supervisor-only region holds the tables that a real host has too: a GDT
 * with the host's flat selectors, the LDT of diff.h, a TSS without an I/O
 * bitmap, and an IDT whose gates 3 and 4 are open to CPL 3.  Exceptions that
 * the interpreter delivers itself (INT3, INTO) end up at CPL 0 and are read
 * back from the frame on that region's stack.  x87/MMX/SSE/AVX instructions go to
 * the real CPU one by one, in 64-bit mode, their memory operand redirected
 * through r8.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu/control.h"
#include "cpu/fpnative.h"
#include "cpu/gmem.h"
#include "cpu/interp.h"
#include "cpu/io.h"
#include "cpu/segment.h"
#include "tests/diff/native.h"

#define MAX_STEPS 3000

#define SYS_BASE 0xf0000000u
#define HANDLER_BASE 0x00100000u /* 16 bytes per vector; never executed */

static struct {
    struct guest_mem mem;
    struct system_tables sys;
    uint8_t stack[512]; /* right behind the tables */
    struct vm vm;
    struct vcpu vcpu;
    struct stats stats;
    struct native_ctx fp;
    uint8_t *jit;
    bool wrapped; /* an access lay across 4 GiB, the last one of the instruction at wrapped_eip */
    uint32_t wrapped_eip;
} *e;

#define STACK_TOP (SYS_BASE + (uint32_t)sizeof e->sys + (uint32_t)sizeof e->stack)

/* One page's worth of host memory for a linear address, or the error bits of its #PF. */
static uint8_t *page_at(gla_t gla, unsigned access, uint32_t *err)
{
    static const struct {
        uint32_t base, size;
        size_t at;
        bool w, x;
    } region[] = {
        {CODE_BASE, CODE_SIZE, offsetof(struct guest_mem, code), false, true},
        {DATA_BASE, DATA_SIZE, offsetof(struct guest_mem, data), true, false},
        {RO_BASE, RO_SIZE, offsetof(struct guest_mem, ro), false, false},
        {STACK_BASE, STACK_SIZE, offsetof(struct guest_mem, stack), true, false},
    };

    *err = (access & GMEM_WRITE ? PFERR_W : 0) | (access & GMEM_USER ? PFERR_U : 0) |
           (access & GMEM_FETCH ? PFERR_I : 0);
    for (unsigned i = 0; i < ARRAY_SIZE(region); i++) {
        if (gla - region[i].base >= region[i].size)
            continue;
        if ((!(access & GMEM_WRITE) || region[i].w) && (!(access & GMEM_FETCH) || region[i].x))
            return (uint8_t *)&e->mem + region[i].at + (gla - region[i].base);
        *err |= PFERR_P;
        return NULL;
    }
    if (!(access & GMEM_USER) && gla - SYS_BASE < STACK_TOP - SYS_BASE)
        return (uint8_t *)&e->sys + (gla - SYS_BASE);
    return NULL;
}

enum copy { COPY_NONE, COPY_OUT, COPY_IN };

static bool access_bytes(gla_t gla, void *buf, unsigned len, unsigned access, enum copy copy, struct fault *f)
{
    uint8_t *p = buf;
    uint32_t err;

    if (len && gla + len - 1 < gla) {
        e->wrapped = true;
        e->wrapped_eip = e->vcpu.eip;
    }
    for (gla_t at = gla; at - gla < len; at = (at | PAGE_MASK) + 1)
        if (!page_at(at, access, &err)) {
            fault_set(f, VEC_PF, true, err);
            f->cr2 = at;
            return false;
        }
    for (unsigned n; copy != COPY_NONE && len; len -= n, gla += n, p += n) {
        n = PAGE_SIZE - page_offset(gla);
        n = n < len ? n : len;
        if (copy == COPY_OUT)
            memcpy(p, page_at(gla, access, &err), n);
        else
            memcpy(page_at(gla, access, &err), p, n);
    }
    return true;
}

void *gmem_seen(struct vcpu *v, gla_t gla, unsigned len, unsigned access)
{
    (void)v, (void)gla, (void)len, (void)access;
    return NULL;
}

void *gmem_keep(struct vcpu *v, gla_t gla, unsigned len, unsigned access)
{
    return gmem_seen(v, gla, len, access);
}

bool gmem_read(struct vcpu *v, gla_t gla, void *buf, unsigned len, unsigned access, struct fault *f)
{
    (void)v;
    return access_bytes(gla, buf, len, access, COPY_OUT, f);
}

bool gmem_write(struct vcpu *v, gla_t gla, const void *buf, unsigned len, unsigned access, struct fault *f)
{
    (void)v;
    return access_bytes(gla, (void *)buf, len, access | GMEM_WRITE, COPY_IN, f);
}

bool gmem_probe(struct vcpu *v, gla_t gla, unsigned len, unsigned access, struct fault *f)
{
    (void)v;
    return access_bytes(gla, NULL, len, access, COPY_NONE, f);
}

static void unexpected(const char *what)
{
    fprintf(stderr, "difftest: the interpreter used %s at CPL 3\n", what);
    abort();
}

void gmem_cr3_loaded(struct vcpu *v)
{
    (void)v;
    unexpected("MOV CR3");
}

void gmem_mode_changed(struct vcpu *v, uint32_t old_cr0, uint32_t old_cr4, uint64_t old_efer)
{
    (void)v, (void)old_cr0, (void)old_cr4, (void)old_efer;
    unexpected("a mode change");
}

void gmem_invlpg(struct vcpu *v, gla_t gla)
{
    (void)v, (void)gla;
    unexpected("INVLPG");
}

bool gmem_load_pdptes(struct vcpu *v, uint32_t cr3, uint32_t cr4, uint64_t efer)
{
    (void)v, (void)cr3, (void)cr4, (void)efer;
    unexpected("PDPTE loads");
    return true;
}

uint32_t io_in(struct vcpu *v, uint16_t port, unsigned size)
{
    (void)v, (void)port, (void)size;
    unexpected("IN");
    return 0;
}

void io_out(struct vcpu *v, uint16_t port, uint32_t value, unsigned size)
{
    (void)v, (void)port, (void)value, (void)size;
    unexpected("OUT");
}

uint64_t io_rdtsc(void)
{
    return __builtin_ia32_rdtsc();
}

void io_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __asm__("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

void bug_at(const char *file, int line, const char *what)
{
    fprintf(stderr, "BUG at %s:%d: %s\n", file, line, what);
    abort();
}

/* The VEX prefix in three bytes, with B for r8; up to the opcode. */
static uint8_t *jit_vex(uint8_t *p, const uint8_t *vex)
{
    bool two = vex[0] == 0xc5;

    *p++ = 0xc4;
    *p++ = two ? 0xc1 : vex[1] & ~0x20;
    *p++ = two ? vex[1] & 0x7f : vex[2];
    *p++ = vex[two ? 2 : 3];
    return p;
}

/* The same instruction for 64-bit mode, its memory operand at (%r8); then out through r15. */
static void jit_fp(const struct insn *in, const uint8_t *bytes)
{
    uint8_t *p = e->jit;
    unsigned at = in->prefix_len;

    if (in->osz_prefix)
        *p++ = 0x66;
    if (in->rep)
        *p++ = in->rep;
    if (in->mem && in->vex) {
        p = jit_vex(p, bytes + at);
        *p++ = in->modrm & 0x38;
        memcpy(p, bytes + in->len - in->imm_len, in->imm_len);
        p += in->imm_len;
    } else if (in->mem) {
        unsigned opcode_len = in->map == 0 ? 1 : in->map == 1 ? 2 : 3;
        *p++ = 0x41;
        memcpy(p, bytes + at, opcode_len);
        p += opcode_len;
        *p++ = in->modrm & 0x38;
        memcpy(p, bytes + in->len - in->imm_len, in->imm_len);
        p += in->imm_len;
    } else {
        memcpy(p, bytes + at, in->len - at);
        p += in->len - at;
    }
    memcpy(p, "\x41\xff\x67\x40", 4);
}

int fpnative_run(struct vcpu *v, const struct insn *in, const uint8_t *bytes, void *mem, unsigned memlen)
{
    static const uint16_t sels[6] = {SEL_DATA, SEL_CODE64, SEL_DATA, SEL_DATA, 0, 0};
    struct native_ctx *c = &e->fp;

    (void)memlen;
    if (in->evex || in->lock)
        return VEC_UD;
    jit_fp(in, bytes);
    memcpy(c->sel, sels, sizeof sels);
    memcpy(c->gpr, v->gpr, sizeof c->gpr);
    c->eflags = (v->eflags & (EFLAGS_ARITH | EFLAGS_DF)) | 0x202;
    c->rsp = v->gpr[REG_ESP];
    c->r8 = (uintptr_t)mem;
    c->rip = (uintptr_t)e->jit;
    native_run(c);
    if (c->trap != NATIVE_NO_TRAP)
        return (int)c->trap;
    memcpy(v->gpr, c->gpr, sizeof c->gpr);
    v->eflags = (v->eflags & ~EFLAGS_ARITH) | (c->eflags & EFLAGS_ARITH);
    return 0;
}

static bool interp_init(void)
{
    if (e)
        return true;
    if (!native_init())
        return false;
    e = calloc(1, sizeof *e);
    void *block = aligned_alloc(64, align_up(sizeof *e, 64));
    free(e);
    e = memset(block, 0, sizeof *e);
    e->jit = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    e->vm.trace = calloc(1, sizeof *e->vm.trace);
    e->vm.stats = &e->stats;
    e->vm.vcpu = &e->vcpu;
    return e->jit != MAP_FAILED;
}

static void set_flat(struct seg *s, uint16_t sel)
{
    struct desc d;
    const uint8_t *table = sel & 4 ? e->sys.ldt : e->sys.gdt;

    if (sel == 0) {
        *s = (struct seg){0};
        return;
    }
    d.lo = get32(table + (sel & ~7u));
    d.hi = get32(table + (sel & ~7u) + 4);
    seg_from_desc(s, sel, d);
}

static void setup_vcpu(const struct seq *s)
{
    struct vcpu *v = &e->vcpu;

    memset(v, 0, sizeof *v);
    v->vm = &e->vm;
    v->cpuid = cpuid_model_find("host");
    vcpu_reset(v);
    e->vm.stop = VM_RUNNING;
    v->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    v->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    v->efer = EFER_NXE;
    if (__builtin_cpu_supports("avx")) {
        v->cr4 |= CR4_OSXSAVE;
        v->xcr0 = 7;
    }
    memcpy(v->gpr, s->init.gpr, sizeof v->gpr);
    v->eip = s->init.eip;
    v->eflags = s->init.eflags;
    v->cpl = 3;
    v->gdtr = (struct dtr){SYS_BASE + offsetof(struct system_tables, gdt), sizeof e->sys.gdt - 1};
    v->idtr = (struct dtr){SYS_BASE + offsetof(struct system_tables, idt), sizeof e->sys.idt - 1};
    set_flat(&v->ldtr, SEL_LDT);
    set_flat(&v->tr, SEL_TSS);
    for (unsigned i = 0; i < 6; i++)
        set_flat(&v->seg[i], s->init.sel[i]);
    memcpy(e->fp.fx, s->init.fx, sizeof e->fp.fx);
}

/* An exception was delivered to CPL 0: its frame has what the outcome wants. */
static void undo_delivery(struct outcome *o, struct vcpu *v)
{
    const uint8_t *frame = (const uint8_t *)&e->sys + (v->gpr[REG_ESP] - SYS_BASE);

    o->kind = OUT_FAULT;
    o->vec = (v->eip - HANDLER_BASE) / 16;
    o->s.eip = get32(frame);
    o->s.sel[SEG_CS] = get16(frame + 4);
    o->s.eflags = get32(frame + 8);
    o->s.gpr[REG_ESP] = get32(frame + 12);
    o->s.sel[SEG_SS] = get16(frame + 16);
}

static enum outcome_kind run_loop(struct vcpu *v, const struct seq *s, struct fault *f)
{
    uint32_t end = CODE_BASE + s->place + s->code_len;

    for (unsigned i = 0; i < MAX_STEPS; i++) {
        if (v->seg[SEG_CS].base + v->eip == end && end - CODE_BASE < CODE_SIZE) { /* at the HLT */
            v->eip = s->start[s->ngroups];
            v->seg[SEG_CS].sel = s->init.sel[SEG_CS];
            return OUT_END;
        }
        switch (interp_step(v, f)) {
        case INTERP_OK:
            break;
        case INTERP_FAULT:
            return OUT_FAULT;
        default:
            return OUT_SKIP;
        }
        if (v->cpl != 3)
            return OUT_FAULT;
    }
    return OUT_TIMEOUT;
}

static void interp_engine_run(const struct seq *s, struct outcome *o)
{
    struct vcpu *v = &e->vcpu;
    struct fault f = {0};

    uint32_t handlers[256];
    for (unsigned i = 0; i < 256; i++)
        handlers[i] = HANDLER_BASE + 16 * i;
    system_tables_make(&e->sys, SYS_BASE, STACK_TOP, handlers);
    seq_memory(s, &e->mem);
    setup_vcpu(s);
    e->wrapped = false;
    o->kind = run_loop(v, s, &f);
    o->vec = f.vec;
    o->err = f.has_err ? f.err : 0;
    o->cr2 = f.cr2;
    memcpy(o->s.gpr, v->gpr, sizeof v->gpr);
    memcpy(o->s.fx, e->fp.fx, sizeof o->s.fx);
    o->s.eip = v->eip;
    o->s.eflags = v->eflags;
    for (unsigned i = 0; i < 6; i++)
        o->s.sel[i] = v->seg[i].sel;
    if (v->cpl != 3)
        undo_delivery(o, v);
    o->wrapped = e->wrapped && e->wrapped_eip == o->s.eip;
    o->mem = &e->mem;
    if (o->kind == OUT_SKIP && e->vm.stop)
        fprintf(stderr, "difftest: the interpreter stopped: %s\n", e->vm.stop_msg);
}

const struct engine engine_interp = {"interp", interp_init, interp_engine_run};
