/*
 * Emitters of IA-32 code for the translation cache.
 *
 * World: monitor.  `p` is the writable alias, `tca` the address at which the
 * byte will run; both advance together.  Every emitter is flags-neutral unless its
 * name says otherwise.  Overflow is the caller's: it reserves room for the
 * worst case first (tu_new()).
 */
#ifndef BT_EMIT_H
#define BT_EMIT_H

#include "base/mem.h"
#include "bt/windata.h"
#include "cpu/vcpu.h"

struct emit {
    uint8_t *p;
    tca_t tca;
};

static inline void emit8(struct emit *e, uint8_t b) { *e->p++ = b; e->tca++; }
static inline void emit16(struct emit *e, uint16_t w) { put16(e->p, w); e->p += 2; e->tca += 2; }
static inline void emit32(struct emit *e, uint32_t d) { put32(e->p, d); e->p += 4; e->tca += 4; }
static inline void emit_bytes(struct emit *e, const uint8_t *b, unsigned n)
{
    memcpy(e->p, b, n);
    e->p += n;
    e->tca += n;
}

#define MODRM(mod, reg, rm) ((uint8_t)((mod) << 6 | (reg) << 3 | (rm)))

/* One-byte opcode with a %gs:disp32 operand. */
static inline void emit_gs(struct emit *e, uint8_t opcode, unsigned reg, uint32_t off)
{
    emit8(e, 0x65);
    emit8(e, opcode);
    emit8(e, MODRM(0, reg, 5));
    emit32(e, off);
}
static inline void emit_store(struct emit *e, unsigned reg, uint32_t off) { emit_gs(e, 0x89, reg, off); }
static inline void emit_load(struct emit *e, unsigned reg, uint32_t off) { emit_gs(e, 0x8b, reg, off); }
static inline void emit_store_imm(struct emit *e, uint32_t off, uint32_t imm)
{
    emit_gs(e, 0xc7, 0, off);
    emit32(e, imm);
}
/* LEA reg, [reg + disp32] */
static inline void emit_lea(struct emit *e, unsigned dst, unsigned base, uint32_t disp)
{
    emit8(e, 0x8d);
    emit8(e, MODRM(2, dst, base));
    if (base == REG_ESP)
        emit8(e, 0x24);
    emit32(e, disp);
}
static inline void emit_push_imm(struct emit *e, uint32_t imm) { emit8(e, 0x68); emit32(e, imm); }

/* JMP/Jcc rel32; returns the address of the rel32. */
static inline tca_t emit_jmp(struct emit *e, tca_t to)
{
    emit8(e, 0xe9);
    emit32(e, to - (e->tca + 4));
    return e->tca - 4;
}
static inline tca_t emit_jcc(struct emit *e, unsigned cc, tca_t to)
{
    emit8(e, 0x0f);
    emit8(e, 0x80 | cc);
    emit32(e, to - (e->tca + 4));
    return e->tca - 4;
}
/* Short forward jump to be patched by emit_land(). */
static inline uint8_t *emit_jcc8(struct emit *e, uint8_t opcode) { emit8(e, opcode); emit8(e, 0); return e->p; }
static inline void emit_land(struct emit *e, uint8_t *from) { from[-1] = (uint8_t)(e->p - from); }

#endif
