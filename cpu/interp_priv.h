/*
 * Inside the interpreter: the instruction being executed and its operands.
 *
 * World: monitor.  Private to cpu/interp*.c.  Every executor returns true when
 * the instruction is done (the caller then moves EIP to x->next) or false with
 * *x->f filled and the vCPU as it was before.  So an executor reads first, then
 * writes memory, and changes registers and flags last.
 *
 * Segmentation's common case (a present writable data segment that does not
 * expand down) is checked inline; everything else goes through seg_linear().
 */
#ifndef CPU_INTERP_PRIV_H
#define CPU_INTERP_PRIV_H

#include "base/mem.h"
#include "cpu/gmem.h"
#include "cpu/interp.h"
#include "cpu/segment.h"

enum { /* struct exec's care: what each data access must also look at */
    CARE_ALIGN = 1, /* #AC is on (CR0.AM, EFLAGS.AC, CPL 3) */
    CARE_WATCH = 2, /* DR7 enables data or I/O breakpoints */
};

struct exec {
    struct vcpu *v;
    struct fault *f;
    uint32_t next;     /* EIP when done */
    uint32_t off;      /* offset of the ModR/M memory operand */
    uint8_t access;    /* GMEM_USER at CPL 3 */
    uint8_t care;      /* CARE_* */
    bool partial;      /* a REP that has iterations left */
    bool no_trap;      /* TF of before does not trap (INT n and the like; task switches) */
    uint32_t watched;  /* DR6.B0-3 of data breakpoints met */
    struct insn in;
    uint8_t bytes[16];
};

/* --- executors, one family a file --- */
bool exec_map0(struct exec *x);
bool exec_map1(struct exec *x);
bool exec_map2(struct exec *x);
bool exec_map3(struct exec *x);

/* interp_alu.c.  op: ORDER 80 /r: ADD OR ADC SBB AND SUB XOR CMP */
uint32_t alu(struct vcpu *v, unsigned op, unsigned size, uint32_t a, uint32_t b);
void flags_logic(struct vcpu *v, unsigned size, uint32_t r);
bool exec_alu_form(struct exec *x);
bool exec_group1(struct exec *x);
bool exec_incdec(struct exec *x, bool dec);
bool exec_incdec_reg(struct exec *x);
bool exec_group3(struct exec *x);
bool exec_test(struct exec *x);
bool exec_xchg(struct exec *x);
bool exec_cmpxchg(struct exec *x);
bool exec_cmpxchg8b(struct exec *x);
bool exec_xadd(struct exec *x);
bool exec_bcd(struct exec *x);
bool cond_true(const struct vcpu *v, unsigned cc);

/* interp_muldiv.c */
bool exec_muldiv(struct exec *x);  /* F6, F7 /4../7 */
bool exec_imul(struct exec *x);    /* 69, 6B, 0F AF */
bool exec_aam(struct exec *x);
bool exec_aad(struct exec *x);

/* interp_shift.c */
bool exec_group2(struct exec *x);
bool exec_shld(struct exec *x);

/* interp_bits.c */
bool exec_bt(struct exec *x);
bool exec_bitscan(struct exec *x);
bool exec_bswap(struct exec *x);
bool exec_popcnt(struct exec *x);
bool exec_movbe_crc32(struct exec *x);
bool exec_adx(struct exec *x);
bool exec_vex_gpr(struct exec *x);
bool insn_is_vex_gpr(const struct insn *in);

/* interp_string.c and interp_io.c */
bool exec_string(struct exec *x);
bool exec_io_string(struct exec *x);
bool exec_in(struct exec *x, uint16_t port, unsigned size);
bool exec_out(struct exec *x, uint16_t port, unsigned size);
unsigned string_limit(const struct exec *x);

/* interp_stack.c */
bool exec_push(struct exec *x, uint32_t value);
bool exec_push_sreg(struct exec *x, unsigned seg);
bool exec_pop_reg(struct exec *x);
bool exec_pop_sreg(struct exec *x, unsigned seg);
bool exec_pop_rm(struct exec *x);
bool exec_pusha(struct exec *x);
bool exec_popa(struct exec *x);
bool exec_enter(struct exec *x);
bool exec_leave(struct exec *x);
bool exec_pushf(struct exec *x);
bool exec_popf(struct exec *x);

/* interp_flow.c */
bool exec_jump(struct exec *x, uint32_t target);
bool exec_call(struct exec *x, uint32_t target);
bool exec_ret(struct exec *x);
bool exec_loop(struct exec *x);
bool exec_far(struct exec *x);        /* 9A, EA, CA, CB, CF */
bool exec_far_mem(struct exec *x);    /* FF /3, /5 */
bool exec_int(struct exec *x);
bool exec_bound(struct exec *x);
bool exec_load_far_pointer(struct exec *x, unsigned seg);

/* interp_system.c */
bool exec_cli_sti(struct exec *x);
bool exec_hlt(struct exec *x);
bool exec_mov_from_sreg(struct exec *x);
bool exec_mov_to_sreg(struct exec *x);
bool exec_arpl(struct exec *x);
bool exec_group6(struct exec *x);
bool exec_group7(struct exec *x);
bool exec_lar_lsl(struct exec *x);
bool exec_mov_cr(struct exec *x);
bool exec_mov_dr(struct exec *x);
bool exec_msr(struct exec *x);
bool exec_rdtsc(struct exec *x);
bool exec_cpuid(struct exec *x);
bool exec_priv_nop(struct exec *x);
bool exec_clts(struct exec *x);
bool exec_sysenter(struct exec *x);
bool exec_group9_reg(struct exec *x);
bool cpuid_feature(struct vcpu *v, uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit);

/* interp_fpu.c */
bool exec_x87(struct exec *x);
bool exec_wait(struct exec *x);
bool exec_simd(struct exec *x);
bool exec_group15(struct exec *x);
bool exec_xstate_group9(struct exec *x);  /* 0F C7 /3 /4 /5 */

/* interp_fpmem.c: how much memory an FP instruction touches, and how. */
struct fpmem {
    uint16_t size;  /* bytes; 0 = no such memory form */
    uint8_t align;  /* required alignment, or 1 */
    bool store;     /* write-only operand */
};
struct fpmem fpmem_x87(const struct insn *in);
struct fpmem fpmem_simd(const struct insn *in);

/* interp_vecmem.c: vector forms that touch memory element by element. */
bool insn_is_elementwise(const struct insn *in);
bool exec_elementwise(struct exec *x);
bool exec_maskmov(struct exec *x);
bool fp_native(struct exec *x, const struct insn *in, const uint8_t *bytes, void *mem, unsigned len);

/* interp.c: one instruction, reporting what interp_run_one() needs. */
struct step_notes {
    uint32_t watched;
    bool no_trap;
};
enum interp_result interp_step_notes(struct vcpu *v, struct fault *f, struct step_notes *notes);
/* interp_debug.c */
void debug_watch(struct exec *x, gla_t gla, unsigned len, bool write);
void debug_watch_io(struct exec *x, uint16_t port, unsigned size);

/* --- faults --- */
static inline bool ud(struct exec *x) { return fault_ud(x->f); }
static inline bool gp0(struct exec *x) { return fault_gp(x->f, 0); }

/* --- registers --- */
static inline uint32_t size_mask(unsigned size) { return size == 4 ? ~0u : size == 2 ? 0xffff : 0xff; }
static inline uint32_t size_sign(unsigned size) { return size == 4 ? 0x80000000 : size == 2 ? 0x8000 : 0x80; }
static inline unsigned modrm_reg(const struct exec *x) { return x->in.modrm >> 3 & 7; }
static inline unsigned modrm_rm(const struct exec *x) { return x->in.modrm & 7; }

static inline uint32_t reg_get(const struct vcpu *v, unsigned n, unsigned size)
{
    if (size == 4)
        return v->gpr[n];
    if (size == 2)
        return v->gpr[n] & 0xffff;
    return n < 4 ? v->gpr[n] & 0xff : v->gpr[n - 4] >> 8 & 0xff;
}

static inline void reg_put(struct vcpu *v, unsigned n, unsigned size, uint32_t value)
{
    if (size == 4)
        v->gpr[n] = value;
    else if (size == 2)
        v->gpr[n] = (v->gpr[n] & 0xffff0000) | (value & 0xffff);
    else if (n < 4)
        v->gpr[n] = (v->gpr[n] & 0xffffff00) | (value & 0xff);
    else
        v->gpr[n - 4] = (v->gpr[n - 4] & 0xffff00ff) | (value & 0xff) << 8;
}

/* Byte opcodes are the even ones in the ModR/M families that use this. */
static inline unsigned width(const struct exec *x) { return x->in.opcode & 1 ? x->in.opsize : 1; }

static inline void flags_set(struct vcpu *v, uint32_t mask, uint32_t value)
{
    v->eflags = (v->eflags & ~mask) | (value & mask);
}

/* ZF, SF and PF of a result that is already masked to its size. */
static inline uint32_t flags_szp(unsigned size, uint32_t r)
{
    return (r == 0 ? EFLAGS_ZF : 0) | (r & size_sign(size) ? EFLAGS_SF : 0) |
           (__builtin_parity(r & 0xff) ? 0 : EFLAGS_PF);
}

/* --- memory --- */
static inline uint32_t effective_offset(const struct exec *x)
{
    uint32_t off = x->in.disp;

    if (x->in.base != 0xff)
        off += x->v->gpr[x->in.base];
    if (x->in.index != 0xff)
        off += x->v->gpr[x->in.index] << x->in.scale;
    return x->in.adsize == 2 ? off & 0xffff : off;
}

static inline bool linear(struct exec *x, unsigned seg, uint32_t off, unsigned len, bool write, gla_t *gla)
{
    const struct seg *s = &x->v->seg[seg];
    const uint16_t mask = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_EC | SEG_ATTR_RW;

    if (likely((s->attr & mask) == (SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW) && off <= s->limit &&
               s->limit - off >= len - 1)) {
        *gla = s->base + off;
        return true;
    }
    return seg_linear(x->v, seg, off, len, write, gla, x->f);
}

/* Slow part of the accesses below (interp.c): alignment check and data breakpoints. */
bool access_care(struct exec *x, gla_t gla, unsigned len, bool write);

static inline bool mem_load(struct exec *x, unsigned seg, uint32_t off, void *buf, unsigned len)
{
    gla_t gla;

    if (!linear(x, seg, off, len, false, &gla))
        return false;
    if (unlikely(x->care) && !access_care(x, gla, len, false))
        return false;
    return gmem_read(x->v, gla, buf, len, x->access, x->f);
}

/* A read whose operand is written afterwards: checked as the write will be. */
static inline bool mem_load_rmw(struct exec *x, unsigned seg, uint32_t off, void *buf, unsigned len)
{
    gla_t gla;

    if (!linear(x, seg, off, len, true, &gla))
        return false;
    if (unlikely(x->care) && !access_care(x, gla, len, true))
        return false;
    return gmem_read(x->v, gla, buf, len, x->access | GMEM_RMW, x->f);
}

static inline bool mem_store(struct exec *x, unsigned seg, uint32_t off, const void *buf, unsigned len)
{
    gla_t gla;

    if (!linear(x, seg, off, len, true, &gla))
        return false;
    if (unlikely(x->care) && !access_care(x, gla, len, true))
        return false;
    return gmem_write(x->v, gla, buf, len, x->access | GMEM_WRITE, x->f);
}

/* --- the ModR/M operand --- */
static inline bool rm_get(struct exec *x, unsigned size, uint32_t *value)
{
    *value = 0;
    if (x->in.mem)
        return mem_load(x, x->in.seg, x->off, value, size);
    *value = reg_get(x->v, modrm_rm(x), size);
    return true;
}

static inline bool rm_get_rmw(struct exec *x, unsigned size, uint32_t *value)
{
    *value = 0;
    if (x->in.mem)
        return mem_load_rmw(x, x->in.seg, x->off, value, size);
    *value = reg_get(x->v, modrm_rm(x), size);
    return true;
}

static inline bool rm_put(struct exec *x, unsigned size, uint32_t value)
{
    if (x->in.mem)
        return mem_store(x, x->in.seg, x->off, &value, size);
    reg_put(x->v, modrm_rm(x), size, value);
    return true;
}

#endif
