// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The decoder's face to the translator, and the only file that knows Zydis.
 *
 * A translation needs little of an instruction: its length, which of the
 * classes of class.def it falls into, and where a few bytes lie.  Operands
 * are not decoded; what is not sensitive is copied.  The class comes from
 * three sources in this order: encodings that share a mnemonic with harmless
 * forms (MOV, PUSH, POP with segment registers; far transfers), the table in
 * insn.def, and the instruction's category in category.def.  An instruction
 * that is in neither is left to the interpreter.
 */
#include <Zydis/Zydis.h>

#include "base/mem.h"
#include "bt/decode.h"
#include "cpu/vcpu.h"

_Static_assert(sizeof(ZydisDecoder) <= sizeof(struct bt_decoder), "storage for the decoder");

static const ZydisDecoder *zydis(const struct bt_decoder *d)
{
    return (const ZydisDecoder *)d->opaque;
}

void bt_decoder_init(struct bt_decoder *d)
{
    memset(d, 0, sizeof *d);
    ZydisDecoderInit((ZydisDecoder *)d->opaque, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
}

const char *bt_mnemonic_name(unsigned mnemonic)
{
    return ZydisMnemonicGetString(mnemonic);
}

unsigned bt_mnemonic_count(void)
{
    return ZYDIS_MNEMONIC_MAX_VALUE + 1;
}

static int category_class(unsigned category)
{
    switch (category) {
#define CATEGORY(name, class, reason) \
    case ZYDIS_CATEGORY_##name: return CL_##class;
#include "bt/category.def"
#undef CATEGORY
    default:
        return -1;
    }
}

int bt_mnemonic_class(unsigned mnemonic, unsigned category)
{
    switch (mnemonic) {
#define INSN(name, class, reason) \
    case ZYDIS_MNEMONIC_##name: return CL_##class;
#include "bt/insn.def"
#undef INSN
    default:
        return category_class(category);
    }
}

static uint8_t needs_of(const ZydisDecodedInstruction *zi)
{
    if (zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX || zi->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX) {
        bool gpr = zi->meta.category == ZYDIS_CATEGORY_BMI1 || zi->meta.category == ZYDIS_CATEGORY_BMI2;
        if (zi->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX || zi->meta.category == ZYDIS_CATEGORY_KMASK)
            return NEED_AVX512 | NEED_FPU;
        return gpr ? 0 : NEED_AVX | NEED_FPU;
    }
    switch (zi->meta.isa_ext) {
    case ZYDIS_ISA_EXT_X87:
    case ZYDIS_ISA_EXT_MMX:
    case ZYDIS_ISA_EXT_AMD3DNOW:
        return NEED_FPU;
    case ZYDIS_ISA_EXT_SSE: case ZYDIS_ISA_EXT_SSE2: case ZYDIS_ISA_EXT_SSE3: case ZYDIS_ISA_EXT_SSSE3:
    case ZYDIS_ISA_EXT_SSE4: case ZYDIS_ISA_EXT_SSE4A: case ZYDIS_ISA_EXT_AES:
    case ZYDIS_ISA_EXT_PCLMULQDQ: case ZYDIS_ISA_EXT_SHA: case ZYDIS_ISA_EXT_GFNI:
        break;
    case ZYDIS_ISA_EXT_XSAVE: case ZYDIS_ISA_EXT_XSAVEC: case ZYDIS_ISA_EXT_XSAVEOPT:
    case ZYDIS_ISA_EXT_XSAVES:
        return NEED_XSAVE | NEED_FPU;
    default:
        /* FXSAVE/FXRSTOR count as base in some tables. */
        return zi->mnemonic == ZYDIS_MNEMONIC_FXSAVE || zi->mnemonic == ZYDIS_MNEMONIC_FXRSTOR ? NEED_FPU : 0;
    }
    switch (zi->mnemonic) { /* no vector state */
    case ZYDIS_MNEMONIC_LFENCE: case ZYDIS_MNEMONIC_SFENCE: case ZYDIS_MNEMONIC_MFENCE:
    case ZYDIS_MNEMONIC_PREFETCHNTA: case ZYDIS_MNEMONIC_PREFETCHT0: case ZYDIS_MNEMONIC_PREFETCHT1:
    case ZYDIS_MNEMONIC_PREFETCHT2: case ZYDIS_MNEMONIC_MOVNTI: case ZYDIS_MNEMONIC_CRC32:
    case ZYDIS_MNEMONIC_POPCNT:
        return 0;
    default:
        return NEED_SSE | NEED_FPU;
    }
}

/* SS brings an interrupt shadow, CS and what is behind GS are #UD. */
static bool seg_loads_plainly(unsigned seg)
{
    return seg == SEG_ES || seg == SEG_DS || seg == SEG_FS || seg == SEG_GS;
}

/* Which control registers the translator knows: writes of CR0 and CR4 change the mode. */
static int control_form(const struct bt_insn *in, bool write)
{
    unsigned cr = in->modrm >> 3 & 7;

    if (in->lock || in->modrm >> 6 != 3 || cr == 1 || cr > 4 || (write && cr != 2 && cr != 3))
        return write ? CL_INTERP_END : CL_INTERP;
    return CL_MOV_CR;
}

/* MOV, PUSH and POP with a segment register, MOV with a control or debug register, by opcode. */
static int register_form(const ZydisDecodedInstruction *zi, const uint8_t *bytes, const struct bt_insn *in)
{
    if (zi->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return -1;
    if (zi->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT) {
        switch (zi->opcode) {
        case 0x8c:
            return (bytes[in->modrm_off] >> 6) == 3 && !in->osz16 ? CL_SEG_READ : CL_INTERP;
        case 0x8e:
            return bytes[in->modrm_off] >> 6 == 3 && seg_loads_plainly(bytes[in->modrm_off] >> 3 & 7) ? CL_SEG_LOAD
                                                                                                     : CL_INTERP;
        case 0x07: case 0x1f:
            return in->osz16 ? CL_INTERP : CL_SEG_LOAD;
        case 0x17:
            return CL_INTERP;
        case 0x06: case 0x0e: case 0x16: case 0x1e:
            return in->osz16 ? CL_INTERP : CL_SEG_READ;
        }
    } else if (zi->opcode_map == ZYDIS_OPCODE_MAP_0F) {
        switch (zi->opcode) {
        case 0xa0: case 0xa8:
            return in->osz16 ? CL_INTERP : CL_SEG_READ;
        case 0xa1: case 0xa9:
            return in->osz16 ? CL_INTERP : CL_SEG_LOAD;
        case 0x20: case 0x22: /* MOV from and to CR */
            return control_form(in, zi->opcode == 0x22);
        case 0x21: case 0x24: case 0x26: /* MOV from DR */
            return CL_INTERP;
        case 0x23: /* MOV to DR */
            return CL_INTERP_END;
        }
    }
    return -1;
}

static int classify(const ZydisDecodedInstruction *zi, const uint8_t *bytes, const struct bt_insn *in)
{
    int c = register_form(zi, bytes, in);

    if (c >= 0)
        return c;
    c = bt_mnemonic_class(zi->mnemonic, zi->meta.category);
    if (c < 0)
        return CL_INTERP_END;
    switch (c) {
    case CL_JMP:
    case CL_CALL:
        if (zi->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || in->osz16)
            return CL_INTERP_END;
        if (zi->opcode == 0xff)
            return c == CL_JMP ? CL_JMP_IND : CL_CALL_IND;
        return c;
    case CL_RET:
        return zi->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || in->osz16 ? CL_INTERP_END : c;
    case CL_JCC:
        return in->osz16 ? CL_INTERP_END : c;
    case CL_LOOP:
        return in->osz16 ? CL_INTERP_END : c;
    case CL_IDENT:
        /* ENTER may copy what it has just overwritten: after a hidden fault it would do so anew. */
        return zi->mnemonic == ZYDIS_MNEMONIC_ENTER && (zi->raw.imm[1].value.u & 31) > 1 ? CL_INTERP : c;
    default:
        return c;
    }
}

/* Does a segment prefix change what this instruction touches? */
static bool touches_memory(const ZydisDecodedInstruction *zi)
{
    if (zi->mnemonic == ZYDIS_MNEMONIC_LEA || zi->meta.category == ZYDIS_CATEGORY_NOP ||
        zi->meta.category == ZYDIS_CATEGORY_WIDENOP || zi->meta.category == ZYDIS_CATEGORY_COND_BR)
        return false;
    if (zi->attributes & ZYDIS_ATTRIB_HAS_MODRM)
        return zi->raw.modrm.mod != 3 || zi->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ ||
               zi->mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU || zi->mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU;
    if (zi->meta.category == ZYDIS_CATEGORY_STRINGOP || zi->mnemonic == ZYDIS_MNEMONIC_XLAT)
        return true;
    return zi->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && zi->opcode >= 0xa0 && zi->opcode <= 0xa3;
}

static void scan_prefixes(const ZydisDecodedInstruction *zi, struct bt_insn *in)
{
    in->seg = 0xff;
    for (unsigned i = 0; i < zi->raw.prefix_count; i++) {
        switch (zi->raw.prefixes[i].value) {
        case 0x26: in->seg = SEG_ES; in->seg_off = i; break;
        case 0x2e: in->seg = SEG_CS; in->seg_off = i; break;
        case 0x36: in->seg = SEG_SS; in->seg_off = i; break;
        case 0x3e: in->seg = SEG_DS; in->seg_off = i; break;
        case 0x64: in->seg = SEG_FS; in->seg_off = i; break;
        case 0x65: in->seg = SEG_GS; in->seg_off = i; break;
        case 0x66: in->osz16 = true; break;
        case 0x67: in->asz16 = true; break;
        case 0xf0: in->lock = true; break;
        case 0xf2: case 0xf3: in->rep = true; break;
        }
    }
}

void bt_decode(const struct bt_decoder *d, const uint8_t *bytes, unsigned avail, struct bt_insn *in)
{
    ZydisDecoderContext context;
    ZydisDecodedInstruction zi;

    memset(in, 0, sizeof *in);
    in->cls = CL_INTERP_END;
    in->seg = 0xff;
    if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(zydis(d), &context, bytes, avail, &zi)))
        return;
    in->len = zi.length;
    in->mnemonic = zi.mnemonic;
    scan_prefixes(&zi, in);
    in->opcode_off = zi.raw.prefix_count;
    if (zi.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        in->opcode_off += zi.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT ? 0 : zi.opcode_map == ZYDIS_OPCODE_MAP_0F ? 1 : 2;
    if (zi.attributes & ZYDIS_ATTRIB_HAS_MODRM) {
        in->modrm_off = zi.raw.modrm.offset;
        in->modrm = bytes[in->modrm_off];
    }
    in->mem = touches_memory(&zi);
    in->needs = needs_of(&zi);
    in->imm = (uint32_t)zi.raw.imm[0].value.u;
    if (zi.raw.imm[0].is_relative)
        in->rel = (int32_t)zi.raw.imm[0].value.s;
    if (zi.cpu_flags) {
        in->undefined = zi.cpu_flags->undefined;
        in->tested = zi.cpu_flags->tested;
        in->defined = zi.cpu_flags->modified | zi.cpu_flags->set_0 | zi.cpu_flags->set_1;
    }
    in->varies = zi.mnemonic == ZYDIS_MNEMONIC_RDTSC || zi.mnemonic == ZYDIS_MNEMONIC_RDRAND ||
                 zi.mnemonic == ZYDIS_MNEMONIC_RDSEED;
    in->cls = classify(&zi, bytes, in);
}
