// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions that run as they are, but for a segment prefix or the mask of XSAVE.
 */
#include "bt/translate.h"

/*
 * Thread-local variables lie below the thread control block: %gs:-60, in a
 * segment whose 4 GiB limit lets offsets wrap.  A truncated segment can't
 * admit both small and negative offsets, so the real FS gets a base lower by
 * GS_BIAS and each displacement is raised by as much: offsets from -1 MiB
 * upwards become small positive ones; all others still exceed the limit.
 */
static bool bias_possible(const struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    if (!(r->mode & MODE_GSBIAS))
        return true;
    if (in->asz16 || (!in->modrm_off && (b[in->opcode_off] < 0xa0 || b[in->opcode_off] > 0xa3)))
        return false; /* 16-bit addresses, string instructions, XLAT */
    return !(b[in->opcode_off] == 0x62 && in->modrm >> 6 == 1); /* EVEX scales its disp8 */
}

void emit_biased(struct tr *r, const struct bt_insn *in, const uint8_t *b, unsigned reg)
{
    const uint8_t *p = b + in->modrm_off + 1, *end = b + in->len;
    unsigned mod = in->modrm >> 6, rm = in->modrm & 7;
    bool sib = rm == 4, absolute = mod == 0 && (rm == 5 || (sib && (p[0] & 7) == 5));
    uint32_t disp = 0;

    emit8(&r->e, MODRM(absolute ? 0 : 2, reg, rm));
    if (sib)
        emit8(&r->e, *p++);
    if (mod == 1) {
        disp = sext8(*p++);
    } else if (mod == 2 || absolute) {
        disp = get32(p);
        p += 4;
    }
    emit32(&r->e, disp + GS_BIAS);
    emit_bytes(&r->e, p, (unsigned)(end - p));
}

static void emit_gs_ident(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    uint8_t *at = r->e.p;

    if (!(r->mode & MODE_GSBIAS)) {
        emit_bytes(&r->e, b, in->len);
    } else if (in->modrm_off) {
        emit_bytes(&r->e, b, in->modrm_off);
        emit_biased(r, in, b, in->modrm >> 3 & 7);
    } else { /* MOV to or from moffs32 */
        emit_bytes(&r->e, b, in->opcode_off + 1u);
        emit32(&r->e, get32(b + in->opcode_off + 1) + GS_BIAS);
    }
    at[in->seg_off] = 0x64;
}

bool seg_usable(const struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    if (!in->mem || in->seg == 0xff)
        return true;
    switch (in->seg) {
    case SEG_CS: return false; /* the real CS is execute-only */
    case SEG_FS: return !(r->mode & MODE_GS2FS);
    case SEG_GS: return (r->mode & MODE_GS2FS) && bias_possible(r, in, b);
    default: return true;
    }
}

void emit_ident(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    if (!seg_usable(r, in, b)) {
        emit_interp(r, false);
        return;
    }
    if (in->mem && in->seg == SEG_GS)
        emit_gs_ident(r, in, b);
    else
        emit_bytes(&r->e, b, in->len);
    r->v->vm->stats->tu_ident_insns++;
}

/* Bytes of SIB and displacement of a 32-bit memory operand. */
static unsigned address_len(const struct bt_insn *in, const uint8_t *b)
{
    unsigned mod = in->modrm >> 6, sib = (in->modrm & 7) == 4;
    unsigned base = sib ? b[in->modrm_off + 1] & 7u : in->modrm & 7u;

    return sib + (mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0);
}

void emit_lea_operand(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    emit8(&r->e, 0x8d);
    emit8(&r->e, (uint8_t)((in->modrm & ~0x38) | REG_ECX << 3));
    emit_bytes(&r->e, b + in->modrm_off + 1, address_len(in, b));
}

/* PEXT (pp 2) or PDEP (pp 3) %eax, %eax, %gs:off. */
static void emit_bits_eax(struct tr *r, unsigned pp, uint32_t off)
{
    emit8(&r->e, 0x65);
    emit8(&r->e, 0xc4); emit8(&r->e, 0xe2); emit8(&r->e, (uint8_t)(0x78 | pp));
    emit8(&r->e, 0xf5); emit8(&r->e, MODRM(0, REG_EAX, 5));
    emit32(&r->e, off);
}

/* The operand's address needs a register that holds the mask. */
static bool uses_mask_register(const struct bt_insn *in, const uint8_t *b)
{
    unsigned rm = in->modrm & 7, sib = b[in->modrm_off + 1], base = sib & 7, index = sib >> 3 & 7;

    if (in->asz16)
        return true;
    if (rm != 4)
        return rm == REG_EAX || rm == REG_EDX;
    return base == REG_EAX || base == REG_EDX || index == REG_EAX || index == REG_EDX;
}

/* It must refuse an image that names a component that the guest's XCR0 has not. */
static bool is_xrstor(const struct bt_insn *in, const uint8_t *b)
{
    return b[in->opcode_off] == 0xae && (in->modrm >> 3 & 7) == 5;
}

/*
 * XSAVE and kin with EDX:EAX masked by the guest's XCR0.  PEXT and PDEP by one mask are an AND that keeps the flags.
 * XRSTOR is interpreted: the CPU would judge the image's header by its own XCR0.
 */
void emit_xsave_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    if (!(r->mode & MODE_XMASK)) {
        emit_ident(r, in, b);
        return;
    }
    if (!in->mem || is_xrstor(in, b) || !seg_usable(r, in, b) || uses_mask_register(in, b)) {
        emit_interp(r, false);
        return;
    }
    emit_store(&r->e, REG_EAX, WD_OFF(spill_eax));
    emit_store(&r->e, REG_EDX, WD_OFF(spill_edx));
    rec(r, MAP_BODY, 0, SPILL_EAX | SPILL_EDX);
    emit_bits_eax(r, 2, WD_OFF(xcr0));
    emit_bits_eax(r, 3, WD_OFF(xcr0));
    emit8(&r->e, 0xb8 | REG_EDX); emit32(&r->e, 0); /* mov $0, %edx */
    emit_ident(r, in, b);
    emit_load(&r->e, REG_EAX, WD_OFF(spill_eax));
    emit_load(&r->e, REG_EDX, WD_OFF(spill_edx));
}
