/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interpreter's main loop body: fetch, decode, check, dispatch.
 *
 * Fetch takes up to 15 bytes with one read when they lie in one page.  Only
 * when the decoder asks for more bytes than the page holds is the next page
 * touched, so that an instruction which ends at a page's end never faults on
 * the page behind it, and one that straddles faults with CR2 at the first byte
 * of the missing page.  CS's limit cuts the fetch in the same way and gives
 * #GP(0) (SDM vol. 3A 5.3, 6.15).  A code segment with limit FFFFFFFF wraps.
 *
 * Dispatch is by switch statements, one for each opcode map: the compiler makes
 * jump tables of them that need no relocation.  LOCK is checked before: it is
 * legal with a memory destination of the read-modify-write instructions only
 * (SDM vol. 2 under LOCK).
 */
#include "cpu/interp_priv.h"

/* Bytes after the first page, if the decoder needs them. */
static int fetch_rest(struct exec *x, gla_t gla, unsigned got, unsigned avail, bool code32)
{
    if (got < avail &&
        !gmem_read(x->v, gla + got, x->bytes + got, avail - got, x->access | GMEM_FETCH, x->f))
        return 0;
    if (got < avail) {
        int r = insn_decode_exact(&x->in, x->bytes, avail, code32);

        if (r != 0)
            return r;
    }
    gp0(x);
    return 0;
}

static struct decoded_seen *fetch_slot(struct vcpu *v)
{
    return &v->decoded_seen[(v->eip ^ v->eip >> 6) % DECODED_SEEN];
}

/* The same bytes as last time decode to the same instruction. */
static bool fetch_seen(struct exec *x, gla_t gla, bool code32)
{
    const struct decoded_seen *d = fetch_slot(x->v);
    const uint8_t *p = gmem_seen(x->v, gla, 8, x->access | GMEM_FETCH);
    uint64_t bytes;

    if (!p || !d->mask || d->code32 != code32)
        return false;
    bytes = get64(p);
    if ((bytes & d->mask) != d->bytes)
        return false;
    x->in = d->in;
    put64(x->bytes, bytes);
    x->next = x->v->eip + d->in.len;
    return true;
}

static void fetch_note(struct exec *x, bool code32)
{
    uint64_t mask = ~0ull >> (64 - 8 * x->in.len);

    *fetch_slot(x->v) = (struct decoded_seen){ get64(x->bytes) & mask, mask, code32, x->in };
}

static bool fetch(struct exec *x)
{
    struct vcpu *v = x->v;
    const struct seg *cs = &v->seg[SEG_CS];
    bool code32 = vcpu_code32(v);
    gla_t gla = cs->base + v->eip;
    unsigned avail = 15, got = PAGE_SIZE - page_offset(gla);
    int r;

    if (unlikely(v->eip > cs->limit))
        return gp0(x);
    if (unlikely(cs->limit - v->eip < 14 && cs->limit != ~0u))
        avail = cs->limit - v->eip + 1;
    if (got > avail)
        got = avail;
    if (likely(got >= 8) && fetch_seen(x, gla, code32))
        return true;
    if (!gmem_read(v, gla, x->bytes, got, x->access | GMEM_FETCH, x->f))
        return false;
    r = insn_decode_exact(&x->in, x->bytes, got, code32);
    if (unlikely(r == 0)) {
        r = fetch_rest(x, gla, got, avail, code32);
        if (r == 0)
            return false;
    }
    if (unlikely(r < 0)) {
        if (r == INSN_UNDEFINED)
            return ud(x);
        /* CPUs meet the 16th byte's page before they give up. */
        return gmem_probe(v, gla + 15, 1, x->access | GMEM_FETCH, x->f) ? gp0(x) : false;
    }
    x->next = v->eip + (unsigned)r;
    if (likely(got >= 8 && r <= 8))
        fetch_note(x, code32);
    return true;
}

/* May this instruction carry LOCK? */
static bool lock_legal(const struct insn *in)
{
    unsigned op = in->opcode, reg = in->modrm >> 3 & 7;

    if (!in->mem || in->vex)
        return false;
    if (in->map == 0) {
        if (op < 0x38)
            return (op & 7) < 2;
        switch (op) {
        case 0x80: case 0x81: case 0x82: case 0x83: return reg != 7;
        case 0x86: case 0x87: return true;
        case 0xf6: case 0xf7: return reg == 2 || reg == 3;
        case 0xfe: case 0xff: return reg < 2;
        default: return false;
        }
    }
    if (in->map != 1)
        return false;
    switch (op) {
    case 0xab: case 0xb3: case 0xbb: case 0xb0: case 0xb1: case 0xc0: case 0xc1: return true;
    case 0xba: return reg > 4;
    case 0xc7: return reg == 1;
    default: return false;
    }
}

bool access_care(struct exec *x, gla_t gla, unsigned len, bool write)
{
    unsigned access = x->access | (write ? GMEM_WRITE : GMEM_READ);
    unsigned align = len == 10 ? 8 : len & (len - 1) ? 4 : len > 8 ? 4 : len;

    if ((x->care & CARE_ALIGN) && (gla & (align - 1))) {
        /* A page fault comes before the alignment check. */
        if (gmem_probe(x->v, gla, len, access, x->f))
            fault_set(x->f, VEC_AC, true, 0);
        return false;
    }
    if (x->care & CARE_WATCH)
        debug_watch(x, gla, len, write);
    return true;
}

static bool exec_mov_load(struct exec *x, unsigned size)
{
    uint32_t a;

    if (!rm_get(x, size, &a))
        return false;
    reg_put(x->v, modrm_reg(x), size, a);
    return true;
}

static bool exec_mov_imm(struct exec *x)
{
    if (modrm_reg(x) != 0)
        return ud(x);
    return rm_put(x, width(x), x->in.imm);
}

/* A0-A3. */
static bool exec_moffs(struct exec *x)
{
    unsigned size = width(x);
    uint32_t a = 0;

    if (x->in.opcode & 2)
        return mem_store(x, x->in.seg, x->in.disp, &x->v->gpr[REG_EAX], size);
    if (!mem_load(x, x->in.seg, x->in.disp, &a, size))
        return false;
    reg_put(x->v, REG_EAX, size, a);
    return true;
}

static bool exec_xlat(struct exec *x)
{
    struct vcpu *v = x->v;
    uint32_t off = v->gpr[REG_EBX] + (v->gpr[REG_EAX] & 0xff), a = 0;

    if (!mem_load(x, x->in.seg, x->in.adsize == 2 ? off & 0xffff : off, &a, 1))
        return false;
    reg_put(v, REG_EAX, 1, a);
    return true;
}

static bool exec_lea(struct exec *x)
{
    if (!x->in.mem)
        return ud(x);
    reg_put(x->v, modrm_reg(x), x->in.opsize, x->off);
    return true;
}

/* 98 CBW CWDE, 99 CWD CDQ. */
static bool exec_widen(struct exec *x)
{
    struct vcpu *v = x->v;
    unsigned size = x->in.opsize;
    uint32_t a = v->gpr[REG_EAX];

    if (x->in.opcode == 0x98)
        reg_put(v, REG_EAX, size, size == 4 ? sext16(a) : sext8(a));
    else
        reg_put(v, REG_EDX, size, a & size_sign(size) ? ~0u : 0);
    return true;
}

static bool exec_xchg_acc(struct exec *x)
{
    struct vcpu *v = x->v;
    unsigned n = x->in.opcode & 7, size = x->in.opsize;
    uint32_t a = reg_get(v, n, size);

    reg_put(v, n, size, reg_get(v, REG_EAX, size));
    reg_put(v, REG_EAX, size, a);
    return true;
}

#define EFLAGS_AH (EFLAGS_SF | EFLAGS_ZF | EFLAGS_AF | EFLAGS_PF | EFLAGS_CF)

static bool exec_flag(struct exec *x)
{
    struct vcpu *v = x->v;

    switch (x->in.opcode) {
    case 0x9e: flags_set(v, EFLAGS_AH, v->gpr[REG_EAX] >> 8); return true;
    case 0x9f: reg_put(v, 4, 1, (v->eflags & EFLAGS_AH) | EFLAGS_FIXED); return true;
    case 0xf5: v->eflags ^= EFLAGS_CF; return true;
    case 0xf8: case 0xf9: flags_set(v, EFLAGS_CF, x->in.opcode & 1); return true;
    default: flags_set(v, EFLAGS_DF, x->in.opcode & 1 ? EFLAGS_DF : 0); return true;
    }
}

static bool exec_group45(struct exec *x)
{
    unsigned op = modrm_reg(x);
    uint32_t a;

    if (op < 2)
        return exec_incdec(x, op);
    if (x->in.opcode == 0xfe || op == 7)
        return ud(x);
    if (op == 3 || op == 5)
        return exec_far_mem(x);
    if (!rm_get(x, x->in.opsize, &a))
        return false;
    return op == 2 ? exec_call(x, a) : op == 4 ? exec_jump(x, a) : exec_push(x, a);
}

/* 00-3F without prefixes and the escape. */
static bool exec_low(struct exec *x)
{
    unsigned op = x->in.opcode;

    if ((op & 7) < 6)
        return exec_alu_form(x);
    if (op >= 0x20)
        return exec_bcd(x);
    return op & 1 ? exec_pop_sreg(x, op >> 3) : exec_push_sreg(x, op >> 3);
}

bool exec_map0(struct exec *x)
{
    struct vcpu *v = x->v;
    unsigned op = x->in.opcode;

    switch (op) {
    case 0x00 ... 0x3f: return exec_low(x);
    case 0x40 ... 0x4f: return exec_incdec_reg(x);
    case 0x50 ... 0x57: return exec_push(x, v->gpr[op & 7]);
    case 0x58 ... 0x5f: return exec_pop_reg(x);
    case 0x60: return exec_pusha(x);
    case 0x61: return exec_popa(x);
    case 0x62: return exec_bound(x);
    case 0x63: return exec_arpl(x);
    case 0x68: case 0x6a: return exec_push(x, x->in.imm);
    case 0x69: case 0x6b: return exec_imul(x);
    case 0x6c ... 0x6f: return exec_io_string(x);
    case 0x70 ... 0x7f: return !cond_true(v, op & 15) || exec_jump(x, x->next + x->in.imm);
    case 0x80 ... 0x83: return exec_group1(x);
    case 0x84: case 0x85: case 0xa8: case 0xa9: return exec_test(x);
    case 0x86: case 0x87: return exec_xchg(x);
    case 0x88: case 0x89: return rm_put(x, width(x), reg_get(v, modrm_reg(x), width(x)));
    case 0x8a: case 0x8b: return exec_mov_load(x, width(x));
    case 0x8c: return exec_mov_from_sreg(x);
    case 0x8d: return exec_lea(x);
    case 0x8e: return exec_mov_to_sreg(x);
    case 0x8f: return exec_pop_rm(x);
    case 0x90 ... 0x97: return exec_xchg_acc(x);
    case 0x98: case 0x99: return exec_widen(x);
    case 0x9a: case 0xca: case 0xcb: case 0xcf: case 0xea: return exec_far(x);
    case 0x9b: return exec_wait(x);
    case 0x9c: return exec_pushf(x);
    case 0x9d: return exec_popf(x);
    case 0x9e: case 0x9f: case 0xf5: case 0xf8: case 0xf9: case 0xfc: case 0xfd: return exec_flag(x);
    case 0xa0 ... 0xa3: return exec_moffs(x);
    case 0xa4 ... 0xa7: case 0xaa ... 0xaf: return exec_string(x);
    case 0xb0 ... 0xb7: reg_put(v, op & 7, 1, x->in.imm); return true;
    case 0xb8 ... 0xbf: reg_put(v, op & 7, x->in.opsize, x->in.imm); return true;
    case 0xc0: case 0xc1: case 0xd0 ... 0xd3: return exec_group2(x);
    case 0xc2: case 0xc3: return exec_ret(x);
    case 0xc4: return exec_load_far_pointer(x, SEG_ES);
    case 0xc5: return exec_load_far_pointer(x, SEG_DS);
    case 0xc6: case 0xc7: return exec_mov_imm(x);
    case 0xc8: return exec_enter(x);
    case 0xc9: return exec_leave(x);
    case 0xcc: case 0xcd: case 0xce: case 0xf1: return exec_int(x);
    case 0xd4: return exec_aam(x);
    case 0xd5: return exec_aad(x);
    case 0xd6: reg_put(v, REG_EAX, 1, v->eflags & EFLAGS_CF ? 0xff : 0); return true;
    case 0xd7: return exec_xlat(x);
    case 0xd8 ... 0xdf: return exec_x87(x);
    case 0xe0 ... 0xe3: return exec_loop(x);
    case 0xe4: case 0xe5: return exec_in(x, x->in.imm & 0xff, width(x));
    case 0xe6: case 0xe7: return exec_out(x, x->in.imm & 0xff, width(x));
    case 0xe8: return exec_call(x, x->next + x->in.imm);
    case 0xe9: case 0xeb: return exec_jump(x, x->next + x->in.imm);
    case 0xec: case 0xed: return exec_in(x, (uint16_t)v->gpr[REG_EDX], width(x));
    case 0xee: case 0xef: return exec_out(x, (uint16_t)v->gpr[REG_EDX], width(x));
    case 0xf4: return exec_hlt(x);
    case 0xf6: case 0xf7: return exec_group3(x);
    case 0xfa: case 0xfb: return exec_cli_sti(x);
    case 0xfe: case 0xff: return exec_group45(x);
    default: return ud(x);
    }
}

/* MOVZX, MOVSX. */
static bool exec_extend(struct exec *x)
{
    unsigned from = x->in.opcode & 1 ? 2 : 1;
    uint32_t a;

    if (!rm_get(x, from, &a))
        return false;
    if (x->in.opcode & 8)
        a = from == 2 ? sext16(a) : sext8(a);
    reg_put(x->v, modrm_reg(x), x->in.opsize, a);
    return true;
}

/* The operand is read even when the condition is false. */
static bool exec_cmov(struct exec *x)
{
    uint32_t a;

    if (!rm_get(x, x->in.opsize, &a))
        return false;
    if (cond_true(x->v, x->in.opcode & 15))
        reg_put(x->v, modrm_reg(x), x->in.opsize, a);
    return true;
}

static bool exec_movnti(struct exec *x)
{
    if (!x->in.mem || x->in.pp != 0)
        return ud(x);
    return rm_put(x, 4, x->v->gpr[modrm_reg(x)]);
}

/* 0F C7. */
static bool exec_group9(struct exec *x)
{
    unsigned op = modrm_reg(x);

    if (!x->in.mem)
        return exec_group9_reg(x);
    if (op == 1)
        return exec_cmpxchg8b(x);
    return op >= 3 && op <= 5 ? exec_xstate_group9(x) : ud(x);
}

bool exec_map1(struct exec *x)
{
    struct vcpu *v = x->v;
    unsigned op = x->in.opcode;

    switch (op) {
    case 0x00: return exec_group6(x);
    case 0x01: return exec_group7(x);
    case 0x02: case 0x03: return exec_lar_lsl(x);
    case 0x06: return exec_clts(x);
    case 0x08: case 0x09: return exec_priv_nop(x);
    case 0x0d: case 0x18 ... 0x1f: return true; /* PREFETCH, NOP, ENDBR */
    case 0x20: case 0x22: return exec_mov_cr(x);
    case 0x21: case 0x23: return exec_mov_dr(x);
    case 0x30: case 0x32: return exec_msr(x);
    case 0x31: return exec_rdtsc(x);
    case 0x33: return gp0(x); /* RDPMC: there are no counters */
    case 0x34: case 0x35: return exec_sysenter(x);
    case 0x40 ... 0x4f: return exec_cmov(x);
    case 0x80 ... 0x8f: return !cond_true(v, op & 15) || exec_jump(x, x->next + x->in.imm);
    case 0x90 ... 0x9f: return rm_put(x, 1, cond_true(v, op & 15));
    case 0xa0: return exec_push_sreg(x, SEG_FS);
    case 0xa1: return exec_pop_sreg(x, SEG_FS);
    case 0xa2: return exec_cpuid(x);
    case 0xa3: case 0xab: case 0xb3: case 0xbb: return exec_bt(x);
    case 0xa4: case 0xa5: case 0xac: case 0xad: return exec_shld(x);
    case 0xa8: return exec_push_sreg(x, SEG_GS);
    case 0xa9: return exec_pop_sreg(x, SEG_GS);
    case 0xae: return exec_group15(x);
    case 0xaf: return exec_imul(x);
    case 0xb0: case 0xb1: return exec_cmpxchg(x);
    case 0xb2: return exec_load_far_pointer(x, SEG_SS);
    case 0xb4: return exec_load_far_pointer(x, SEG_FS);
    case 0xb5: return exec_load_far_pointer(x, SEG_GS);
    case 0xb6: case 0xb7: case 0xbe: case 0xbf: return exec_extend(x);
    case 0xb8: return x->in.rep == 0xf3 ? exec_popcnt(x) : ud(x);
    case 0xba: return modrm_reg(x) >= 4 ? exec_bt(x) : ud(x);
    case 0xbc: case 0xbd: return exec_bitscan(x);
    case 0xc0: case 0xc1: return exec_xadd(x);
    case 0xc3: return exec_movnti(x);
    case 0xc7: return exec_group9(x);
    case 0xc8 ... 0xcf: return exec_bswap(x);
    case 0x10 ... 0x17: case 0x28 ... 0x2f: case 0x50 ... 0x77: case 0x7c ... 0x7f: case 0xc2:
    case 0xc4 ... 0xc6: case 0xd0 ... 0xfe: return exec_simd(x);
    case 0x78: case 0x79: return x->in.pp & 1 && !x->in.mem ? exec_simd(x) : ud(x); /* EXTRQ, INSERTQ */
    default: return ud(x);
    }
}

bool exec_map2(struct exec *x)
{
    switch (x->in.opcode) {
    case 0xf0: case 0xf1: return exec_movbe_crc32(x);
    case 0xf6: return exec_adx(x);
    case 0x00 ... 0x41: case 0xc8 ... 0xdf: return exec_simd(x);
    default: return ud(x);
    }
}

bool exec_map3(struct exec *x)
{
    return exec_simd(x);
}

static bool execute(struct exec *x)
{
    if (unlikely(x->in.vex)) {
        if (!vcpu_protected(x->v))
            return ud(x);
        return insn_is_vex_gpr(&x->in) ? exec_vex_gpr(x) : exec_simd(x);
    }
    if (unlikely(x->in.lock) && !lock_legal(&x->in))
        return ud(x);
    switch (x->in.map) {
    case 0: return exec_map0(x);
    case 1: return exec_map1(x);
    case 2: return exec_map2(x);
    default: return exec_map3(x);
    }
}

static uint8_t care_of(const struct vcpu *v)
{
    uint8_t care = 0;

    if (v->cpl == 3 && (v->cr0 & CR0_AM) && (v->eflags & EFLAGS_AC))
        care |= CARE_ALIGN;
    if (v->dr[7] & 0xff)
        care |= CARE_WATCH;
    return care;
}

/* known: what the instruction at CS:EIP decodes to, or NULL. */
static inline enum interp_result step(struct vcpu *v, const struct insn *known, struct fault *f, struct step_notes *notes)
{
    struct exec x;
    uint32_t rf = v->eflags & EFLAGS_RF;

    x.v = v;
    x.f = f;
    x.access = (uint8_t)gmem_cpl(v);
    x.care = care_of(v);
    x.partial = x.no_trap = false;
    x.watched = 0;
    v->shadow = 0;
    v->eflags &= ~EFLAGS_RF;
    v->vm->stats->interp_insns++;
    if (known) {
        x.in = *known;
        x.next = v->eip + known->len;
    } else if (!fetch(&x)) {
        v->eflags |= rf;
        return INTERP_FAULT;
    }
    TRACE_EV(v->vm->trace, interp, v->eip, x.in.map << 8 | x.in.opcode, v->cpl);
    if (x.in.mem)
        x.off = effective_offset(&x);
    if (!execute(&x)) {
        v->eflags |= rf;
        return v->vm->stop ? INTERP_STOP : INTERP_FAULT;
    }
    if (x.partial)
        v->eflags |= x.care & CARE_WATCH ? EFLAGS_RF : 0;
    else
        v->eip = x.next;
    notes->watched = x.watched;
    notes->no_trap = x.no_trap;
    if (unlikely(v->halted))
        return INTERP_HALT;
    return unlikely(v->vm->stop) ? INTERP_STOP : INTERP_OK;
}

enum interp_result interp_step_notes(struct vcpu *v, struct fault *f, struct step_notes *notes)
{
    return step(v, NULL, f, notes);
}

enum interp_result interp_step(struct vcpu *v, struct fault *f)
{
    struct step_notes notes;

    return step(v, NULL, f, &notes);
}

enum interp_result interp_step_decoded(struct vcpu *v, const struct insn *in, struct fault *f)
{
    struct step_notes notes;

    return step(v, in, f, &notes);
}
