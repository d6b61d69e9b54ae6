/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions (SDM vol. 1 7.3.9, vol. 2 under MOVS, CMPS, STOS, LODS,
 * SCAS and REP).
 *
 * A repeated string instruction is interruptible between iterations: a fault
 * leaves ESI, EDI and ECX at the iteration that met it and EIP on the
 * instruction.  One call does at most INTERP_REP_MAX iterations, one while TF
 * or a data breakpoint wants to see each, and stops early when an event waits.
 * Suspended in the middle by a fault or an interrupt, REPE CMPS and SCAS show the
 * flags of before the instruction on Intel's CPUs (SDM vol. 2 under REP) and those
 * of the last comparison on AMD's: the model's vendor decides.
 *
 * REP MOVS and REP STOS that go upwards move blocks within a page instead of
 * single elements.  A block never reaches from its source into its destination
 * (as offsets in a page: two linear pages may be one physical page), so the
 * elements after that point see what the elements before it wrote.
 */
#include "cpu/cpuid.h"
#include "cpu/interp_priv.h"

#define BUFFER_SIZE 512u

/* A register used as an address or count: CX, SI, DI with 16-bit addressing. */
static uint32_t addr_reg(const struct exec *x, unsigned n)
{
    return x->in.adsize == 2 ? x->v->gpr[n] & 0xffff : x->v->gpr[n];
}

static void addr_add(struct exec *x, unsigned n, uint32_t delta)
{
    reg_put(x->v, n, x->in.adsize, x->v->gpr[n] + delta);
}

static uint32_t step_of(const struct exec *x, unsigned size)
{
    return x->v->eflags & EFLAGS_DF ? -size : size;
}

/* How many iterations this call may do. */
unsigned string_limit(const struct exec *x)
{
    return (x->v->eflags & EFLAGS_TF) || (x->care & CARE_WATCH) ? 1 : INTERP_REP_MAX;
}

static bool one_movs(struct exec *x, unsigned size)
{
    uint32_t a = 0, step = step_of(x, size);

    if (!mem_load(x, x->in.seg, addr_reg(x, REG_ESI), &a, size) ||
        !mem_store(x, SEG_ES, addr_reg(x, REG_EDI), &a, size))
        return false;
    addr_add(x, REG_ESI, step);
    addr_add(x, REG_EDI, step);
    return true;
}

static bool one_stos(struct exec *x, unsigned size)
{
    if (!mem_store(x, SEG_ES, addr_reg(x, REG_EDI), &x->v->gpr[REG_EAX], size))
        return false;
    addr_add(x, REG_EDI, step_of(x, size));
    return true;
}

static bool one_lods(struct exec *x, unsigned size)
{
    uint32_t a = 0;

    if (!mem_load(x, x->in.seg, addr_reg(x, REG_ESI), &a, size))
        return false;
    reg_put(x->v, REG_EAX, size, a);
    addr_add(x, REG_ESI, step_of(x, size));
    return true;
}

static bool one_cmps(struct exec *x, unsigned size)
{
    uint32_t a = 0, b = 0, step = step_of(x, size);

    /* The order decides which of two faults is seen; CPUs look at ES:EDI first. */
    if (!mem_load(x, SEG_ES, addr_reg(x, REG_EDI), &b, size) ||
        !mem_load(x, x->in.seg, addr_reg(x, REG_ESI), &a, size))
        return false;
    alu(x->v, 7, size, a, b);
    addr_add(x, REG_ESI, step);
    addr_add(x, REG_EDI, step);
    return true;
}

static bool one_scas(struct exec *x, unsigned size)
{
    uint32_t b = 0;

    if (!mem_load(x, SEG_ES, addr_reg(x, REG_EDI), &b, size))
        return false;
    alu(x->v, 7, size, reg_get(x->v, REG_EAX, size), b);
    addr_add(x, REG_EDI, step_of(x, size));
    return true;
}

static bool one_iteration(struct exec *x, unsigned size)
{
    switch (x->in.opcode & 0xfe) {
    case 0xa4: return one_movs(x, size);
    case 0xa6: return one_cmps(x, size);
    case 0xaa: return one_stos(x, size);
    case 0xac: return one_lods(x, size);
    default: return one_scas(x, size);
    }
}

static uint32_t room_in_page(gla_t gla) { return PAGE_SIZE - page_offset(gla); }

/* Cut *bytes at the page's end; false if the block would leave the segment or wrap: single steps, then. */
static bool block_linear(struct exec *x, unsigned seg, uint32_t off, uint32_t *bytes, bool write, gla_t *gla)
{
    uint32_t top = x->in.adsize == 2 ? 0xffff : ~0u;

    if (off + *bytes - 1 > top || off + *bytes - 1 < off)
        return false;
    if (!linear(x, seg, off, *bytes, write, gla))
        return false;
    *bytes = (uint32_t)min_u64(*bytes, room_in_page(*gla));
    return true;
}

static void block_done(struct exec *x, uint32_t bytes, uint32_t count)
{
    if ((x->in.opcode & 0xfe) == 0xa4)
        addr_add(x, REG_ESI, bytes);
    addr_add(x, REG_EDI, bytes);
    addr_add(x, REG_ECX, -count);
}

/* `bytes`, a multiple of `size`, of one element after the other. */
static void fill(uint8_t *p, uint32_t value, unsigned size, uint32_t bytes)
{
    uint64_t pattern = size == 1 ? (value & 0xff) * 0x01010101u : size == 2 ? (value & 0xffff) * 0x10001u : value;

    if (pattern == (value & 0xff) * 0x01010101u) { /* as in most cases */
        memset(p, (int)(value & 0xff), bytes);
        return;
    }
    pattern |= pattern << 32;
    for (; bytes >= 8; bytes -= 8, p += 8)
        put64(p, pattern);
    memcpy(p, &pattern, bytes);
}

/* Where both ends are known to lie. */
static bool block_seen(struct exec *x, gla_t dst, gla_t src, bool movs, unsigned size, uint32_t bytes)
{
    uint8_t *to = gmem_seen(x->v, dst, bytes, x->access | GMEM_WRITE);
    const uint8_t *from = movs && to ? gmem_seen(x->v, src, bytes, x->access) : NULL;

    if (!to || (movs && !from))
        return false;
    if (movs)
        memmove(to, from, bytes);
    else
        fill(to, x->v->gpr[REG_EAX], size, bytes);
    return true;
}

static bool block_buffered(struct exec *x, gla_t dst, gla_t src, bool movs, unsigned size, uint32_t bytes)
{
    uint8_t buf[BUFFER_SIZE];

    if (!movs)
        fill(buf, x->v->gpr[REG_EAX], size, bytes);
    else if (!gmem_read(x->v, src, buf, bytes, x->access, x->f))
        return false;
    return gmem_write(x->v, dst, buf, bytes, x->access | GMEM_WRITE, x->f);
}

/* Up to `count` elements of REP MOVS or STOS at once; 0: nothing done, do one by itself. */
static uint32_t block_iterations(struct exec *x, unsigned size, uint32_t count)
{
    uint32_t bytes = count < PAGE_SIZE / size ? count * size : PAGE_SIZE, dist;
    bool movs = (x->in.opcode & 0xfe) == 0xa4;
    gla_t src = 0, dst;

    if (count < 2 || x->care || (x->v->eflags & EFLAGS_DF))
        return 0;
    if (!block_linear(x, SEG_ES, addr_reg(x, REG_EDI), &bytes, true, &dst))
        return 0;
    if (movs) {
        if (!block_linear(x, x->in.seg, addr_reg(x, REG_ESI), &bytes, false, &src))
            return 0;
        dist = page_offset(dst - src);
        if (dist && dist < bytes)
            bytes = dist;
    }
    bytes -= bytes % size;
    if (bytes == 0)
        return 0;
    if (!block_seen(x, dst, src, movs, size, bytes)) {
        bytes = (uint32_t)min_u64(bytes, BUFFER_SIZE);
        if (!block_buffered(x, dst, src, movs, size, bytes))
            return 0;
    }
    block_done(x, bytes, bytes / size);
    return bytes / size;
}

static bool op_compares(unsigned op) { return op == 0xa6 || op == 0xae; }

/* The flags that a suspended instruction shows; the last iteration will set its own. */
static void flags_suspended(struct exec *x, unsigned op, uint32_t old)
{
    if (op_compares(op) && x->v->eflags != old && !cpuid_is_amd(x->v->cpuid))
        x->v->eflags = old;
}

/* Has this REPE/REPNE met its condition?  Only CMPS and SCAS look at ZF. */
static bool rep_ends(const struct exec *x)
{
    unsigned op = x->in.opcode & 0xfe;

    if (!op_compares(op))
        return false;
    return !(x->v->eflags & EFLAGS_ZF) == (x->in.rep == 0xf3);
}

/* A4-A7, AA-AF. */
bool exec_string(struct exec *x)
{
    unsigned size = width(x), op = x->in.opcode & 0xfe, done = 0, limit;
    bool blocks = op == 0xa4 || op == 0xaa;
    uint32_t old = x->v->eflags, count, n;

    if (!x->in.rep)
        return one_iteration(x, size);
    limit = string_limit(x);
    while ((count = addr_reg(x, REG_ECX)) != 0) {
        if (done >= limit || (done && x->v->attention)) {
            if (!(old & EFLAGS_TF))
                flags_suspended(x, op, old);
            x->partial = true;
            return true;
        }
        n = blocks ? block_iterations(x, size, (uint32_t)min_u64(count, limit - done)) : 0;
        if (n == 0) {
            if (!one_iteration(x, size)) {
                flags_suspended(x, op, old);
                return false;
            }
            addr_add(x, REG_ECX, -1u);
            n = 1;
        }
        done += n;
        if (rep_ends(x))
            break;
    }
    return true;
}
