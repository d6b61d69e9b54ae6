/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Port I/O: IN, OUT, INS, OUTS and who may use them (SDM vol. 1 chapter 19.5).
 *
 * In protected mode code with CPL <= IOPL may use every port; other code, and
 * V86 code always, may use those whose bits are clear in the I/O permission
 * bitmap of a 32-bit TSS.  The bitmap is read as two bytes, so that an access
 * may straddle bytes; both must lie within the TSS's limit.
 *
 * Reading a port changes the device, so INS makes sure of its destination
 * first, and OUTS reads its source first.
 */
#include "cpu/interp_priv.h"
#include "cpu/io.h"
#include "cpu/port.h"

static bool bitmap_allows(struct vcpu *v, uint16_t port, unsigned size, bool *allowed, struct fault *f)
{
    const struct seg *tr = &v->tr;
    unsigned type = tr->attr & SEG_ATTR_TYPE;
    uint16_t base = 0, word = 0;
    uint32_t at;

    *allowed = false;
    if (!(tr->attr & SEG_ATTR_P) || (type != DESC_TSS32 && type != DESC_TSS32_BUSY) || tr->limit < 103)
        return true;
    if (!gmem_read(v, tr->base + 102, &base, 2, GMEM_READ, f))
        return false;
    at = (uint32_t)base + (port >> 3);
    if (at + 1 > tr->limit)
        return true;
    if (!gmem_read(v, tr->base + at, &word, 2, GMEM_READ, f))
        return false;
    *allowed = !(word >> (port & 7) & ((1u << size) - 1));
    return true;
}

static bool io_permitted(struct vcpu *v, uint16_t port, unsigned size, struct fault *f)
{
    bool allowed;

    if (!vcpu_pe(v) || (!vcpu_v86(v) && v->cpl <= vcpu_iopl(v)))
        return true;
    if (!bitmap_allows(v, port, size, &allowed, f))
        return false;
    return allowed || fault_gp(f, 0);
}

bool port_in(struct vcpu *v, uint16_t port, unsigned size, struct fault *f)
{
    if (!io_permitted(v, port, size, f))
        return false;
    reg_put(v, REG_EAX, size, io_in(v, port, size));
    return true;
}

bool port_out(struct vcpu *v, uint16_t port, unsigned size, struct fault *f)
{
    if (!io_permitted(v, port, size, f))
        return false;
    io_out(v, port, reg_get(v, REG_EAX, size), size);
    return true;
}

bool exec_in(struct exec *x, uint16_t port, unsigned size)
{
    if (!port_in(x->v, port, size, x->f))
        return false;
    debug_watch_io(x, port, size);
    return true;
}

bool exec_out(struct exec *x, uint16_t port, unsigned size)
{
    if (!port_out(x->v, port, size, x->f))
        return false;
    debug_watch_io(x, port, size);
    return true;
}

static uint32_t addr_reg(const struct exec *x, unsigned n)
{
    return x->in.adsize == 2 ? x->v->gpr[n] & 0xffff : x->v->gpr[n];
}

static bool one_io(struct exec *x, uint16_t port, unsigned size)
{
    struct vcpu *v = x->v;
    bool out = x->in.opcode & 2;
    unsigned reg = out ? REG_ESI : REG_EDI;
    uint32_t value = 0;
    gla_t gla;

    if (out) {
        if (!mem_load(x, x->in.seg, addr_reg(x, reg), &value, size))
            return false;
        io_out(v, port, value, size);
    } else {
        if (!linear(x, SEG_ES, addr_reg(x, reg), size, true, &gla) ||
            (x->care && !access_care(x, gla, size, true)) ||
            !gmem_probe(v, gla, size, x->access | GMEM_WRITE, x->f))
            return false;
        value = io_in(v, port, size);
        if (!gmem_write(v, gla, &value, size, x->access | GMEM_WRITE, x->f))
            return false;
    }
    reg_put(v, reg, x->in.adsize, v->gpr[reg] + (v->eflags & EFLAGS_DF ? -size : size));
    debug_watch_io(x, port, size);
    return true;
}

/* 6C-6F. */
bool exec_io_string(struct exec *x)
{
    unsigned size = width(x), done = 0, limit;
    uint16_t port = (uint16_t)x->v->gpr[REG_EDX];

    if (!io_permitted(x->v, port, size, x->f))
        return false;
    if (!x->in.rep)
        return one_io(x, port, size);
    limit = string_limit(x);
    while (addr_reg(x, REG_ECX) != 0) {
        if (done && (done >= limit || x->v->attention || x->v->vm->stop)) {
            x->partial = true;
            return true;
        }
        if (!one_io(x, port, size))
            return false;
        reg_put(x->v, REG_ECX, x->in.adsize, x->v->gpr[REG_ECX] - 1);
        done++;
    }
    return true;
}
