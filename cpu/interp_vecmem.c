/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Vector instructions that touch memory element by element: MASKMOVQ,
 * MASKMOVDQU, VMASKMOVPS/PD, VPMASKMOVD/Q and the AVX2 gathers (SDM vol. 2
 * under each name).
 *
 * Only the elements that the mask selects are accessed and can fault.  The
 * registers are brought to memory and back by whole-register moves made up
 * here and executed natively, so that no special support is needed there.
 *
 * Not done: AVX-512 gathers and scatters, which stop the VM.
 */
#include "cpu/interp_priv.h"

#define VEC_MAX 32u

/* Move a whole register to (store) or from buf: len 8 is MMX, 16 XMM (bits above kept if !vex), 32 YMM. */
static bool move_reg(struct exec *x, unsigned reg, unsigned len, bool vex, bool store, void *buf)
{
    uint8_t bytes[8] = { 0 };
    uint8_t modrm = (uint8_t)(reg << 3); /* [eax], redirected by the native execution */
    uint8_t op = store ? 0x7f : 0x6f;
    unsigned n = 0;
    struct insn in;

    if (vex) {
        bytes[n++] = 0xc5;
        bytes[n++] = len == 32 ? 0xfe : 0xfa;
    } else {
        if (len == 16)
            bytes[n++] = 0xf3;
        bytes[n++] = 0x0f;
    }
    bytes[n++] = op;
    bytes[n++] = modrm;
    insn_decode(&in, bytes, n, true);
    return fp_native(x, &in, bytes, buf, len);
}

static bool selected(const uint8_t *mask, unsigned i, unsigned size)
{
    return mask[i * size + size - 1] & 0x80;
}

/* Write the selected elements; nothing is written if one of them faults. */
static bool store_selected(struct exec *x, unsigned seg, uint32_t off, const uint8_t *data,
                           const uint8_t *mask, unsigned len, unsigned size)
{
    gla_t gla;

    for (int probe = 1; probe >= 0; probe--) {
        for (unsigned i = 0; i < len / size; i++) {
            if (!selected(mask, i, size))
                continue;
            if (!linear(x, seg, off + i * size, size, true, &gla))
                return false;
            if (probe ? !gmem_probe(x->v, gla, size, x->access | GMEM_WRITE, x->f)
                      : !gmem_write(x->v, gla, data + i * size, size, x->access | GMEM_WRITE, x->f))
                return false;
        }
    }
    return true;
}

/* 0F F7: bytes of the first register to [E]DI, selected by the second. */
bool exec_maskmov(struct exec *x)
{
    unsigned len = x->in.pp == 1 ? 16 : 8;
    uint8_t data[VEC_MAX], mask[VEC_MAX];
    uint32_t off = x->in.adsize == 2 ? x->v->gpr[REG_EDI] & 0xffff : x->v->gpr[REG_EDI];

    if (x->in.pp > 1 || x->in.vex_l || (x->in.vex && (x->in.pp != 1 || x->in.vvvv)))
        return ud(x);
    if (!move_reg(x, modrm_reg(x), len, x->in.vex, true, data) ||
        !move_reg(x, modrm_rm(x), len, x->in.vex, true, mask))
        return false;
    return store_selected(x, x->in.seg, off, data, mask, len, 1);
}

bool insn_is_elementwise(const struct insn *in)
{
    unsigned op = in->opcode;

    if (in->map != 2 || in->pp != 1)
        return false;
    if (in->evex)
        return (op >= 0x90 && op <= 0x93) || (op >= 0xa0 && op <= 0xa3) || op == 0xc6 || op == 0xc7;
    return (op >= 0x2c && op <= 0x2f) || op == 0x8c || op == 0x8e || (op >= 0x90 && op <= 0x93);
}

/* VMASKMOVPS/PD, VPMASKMOVD/Q: vvvv is the mask. */
static bool exec_vmaskmov(struct exec *x)
{
    unsigned op = x->in.opcode, len = x->in.vex_l ? 32 : 16, size;
    bool store = op < 0x80 ? op >= 0x2e : op == 0x8e;
    uint8_t data[VEC_MAX] = { 0 }, mask[VEC_MAX];

    if (op < 0x80 && x->in.vex_w)
        return ud(x);
    size = op < 0x80 ? (op & 1 ? 8 : 4) : (x->in.vex_w ? 8 : 4);
    if (!move_reg(x, x->in.vvvv, len, true, true, mask))
        return false;
    if (store)
        return move_reg(x, modrm_reg(x), len, true, true, data) &&
               store_selected(x, x->in.seg, x->off, data, mask, len, size);
    for (unsigned i = 0; i < len / size; i++)
        if (selected(mask, i, size) && !mem_load(x, x->in.seg, x->off + i * size, data + i * size, size))
            return false;
    return move_reg(x, modrm_reg(x), len, true, false, data);
}

struct gather {
    unsigned index_reg, index_size, size, count, len;
};

/* False: undefined. */
static bool gather_shape(const struct exec *x, struct gather *g)
{
    const struct insn *in = &x->in;
    unsigned vl = in->vex_l ? 32 : 16, dst = modrm_reg(x);

    g->index_reg = in->index == 0xff ? 4 : in->index;
    g->index_size = in->opcode & 1 ? 8 : 4;
    g->size = in->vex_w ? 8 : 4;
    g->count = vl / (g->index_size > g->size ? g->index_size : g->size);
    g->len = g->count * g->size < 16 ? 16 : g->count * g->size;
    return modrm_rm(x) == 4 && in->adsize == 4 && dst != g->index_reg && dst != in->vvvv &&
           g->index_reg != in->vvvv;
}

/* VPGATHERxx, VGATHERxPx: vvvv is the mask and comes out zero. */
static bool exec_gather(struct exec *x)
{
    struct gather g;
    uint8_t data[VEC_MAX], mask[VEC_MAX], index[VEC_MAX];
    uint32_t base = x->in.disp + (x->in.base == 0xff ? 0 : x->v->gpr[x->in.base]);

    if (!gather_shape(x, &g))
        return ud(x);
    if (!move_reg(x, modrm_reg(x), g.len, true, true, data) ||
        !move_reg(x, x->in.vvvv, g.len, true, true, mask) ||
        !move_reg(x, g.index_reg, VEC_MAX, true, true, index))
        return false;
    for (unsigned i = 0; i < g.count; i++) {
        uint32_t n = get32(index + i * g.index_size);

        if (selected(mask, i, g.size) &&
            !mem_load(x, x->in.seg, base + (n << x->in.scale), data + i * g.size, g.size))
            return false;
    }
    if (g.count * g.size < 16)
        memset(data + g.count * g.size, 0, 16 - g.count * g.size);
    memset(mask, 0, sizeof(mask));
    return move_reg(x, modrm_reg(x), g.len, true, false, data) &&
           move_reg(x, x->in.vvvv, g.len, true, false, mask);
}

bool exec_elementwise(struct exec *x)
{
    if (x->in.evex) {
        vm_stop(x->v->vm, VM_STOP_UNSUPPORTED, "cpu: AVX-512 gather or scatter at %#x", x->v->eip);
        return ud(x);
    }
    return x->in.opcode >= 0x90 ? exec_gather(x) : exec_vmaskmov(x);
}
