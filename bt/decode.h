/*
 * Decoding for translation: length, class and the few fields the emitters need.
 *
 * World: monitor; call between world_fence_begin() and world_fence_end()
 * (Zydis may touch vector registers).  Units: bytes.  Errors: class
 * CL_INTERP_END with len 0 when the bytes cannot be decoded (the interpreter
 * then decides what fault it is).
 */
#ifndef BT_DECODE_H
#define BT_DECODE_H

#include "base/types.h"

enum insn_class {
#define CLASS(name, text) CL_##name,
#include "bt/class.def"
#undef CLASS
    CL_COUNT
};

/* Which state an instruction needs to run as IDENT. */
#define NEED_FPU 1   /* #NM under CR0.TS/EM */
#define NEED_SSE 2   /* #UD without CR4.OSFXSR */
#define NEED_XSAVE 4 /* XSAVE and kin: #UD without CR4.OSXSAVE, and they go by the host's XCR0 */
#define NEED_AVX 8   /* #UD without CR4.OSXSAVE and XCR0's AVX bits */
#define NEED_AVX512 16

struct bt_insn {
    uint8_t len;
    uint8_t cls;       /* enum insn_class */
    uint8_t needs;     /* NEED_* */
    uint8_t opcode_off;/* where the opcode (behind prefixes and 0F) is */
    uint8_t modrm_off; /* 0: no ModRM */
    uint8_t modrm;
    uint8_t seg;       /* override prefix as SEG_*, or 0xff */
    uint8_t seg_off;   /* where that prefix byte is */
    bool mem;          /* touches memory through a segment that a prefix can change */
    bool osz16, asz16, rep, lock;
    uint16_t mnemonic;
    uint32_t undefined; /* EFLAGS bits that it leaves undefined */
    uint32_t tested, defined; /* those that it looks at, or stores; and that it sets (but not if a shift by 0) */
    bool varies;       /* result depends on time or chance */
    int32_t rel;       /* relative branch displacement */
    uint32_t imm;
};

/* Storage for the decoder library's object. */
struct bt_decoder {
    _Alignas(16) uint8_t opaque[64];
};

void bt_decoder_init(struct bt_decoder *d);
void bt_decode(const struct bt_decoder *d, const uint8_t *bytes, unsigned avail, struct bt_insn *in);
const char *bt_mnemonic_name(unsigned mnemonic);
unsigned bt_mnemonic_count(void);
/* The class that a mnemonic has by itself (before prefixes and operands are looked at), or -1. */
int bt_mnemonic_class(unsigned mnemonic, unsigned category);

#endif
