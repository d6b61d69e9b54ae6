// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making one translation unit: fetch, decode, emit.
 *
 * A TU is up to twelve guest instructions or ends at a control transfer, a
 * page boundary, or an instruction whose interpretation may change the mode.
 * Decoding runs in one library fence; emission then walks the decoded
 * instructions.  An instruction that crosses into the next page is a TU of
 * its own; in user code, where the two pages' mappings can change apart, such
 * a TU is only ever reached through the lookup tables.
 */
#include "base/assert.h"
#include "bt/bt_priv.h"
#include "bt/emit.h"

#define INSN_ROOM 144u /* worst case of one instruction's code, exits included */

struct tr {
    struct vcpu *v;
    struct bt *bt;
    struct tu *t;
    struct emit e;
    uint32_t mode;
    const uint8_t *bytes;           /* of the TU */
    struct bt_insn insn[TU_MAX_INSNS];
    unsigned n;                     /* instruction being emitted */
    bool ended;                     /* control does not fall out of the last instruction */
};

/* ------------------------------------------------------------------ fetch */

bool bt_fetch_page(struct vcpu *v, gla_t gla, gpn_t *gpn, struct fault *f)
{
    struct bt *bt = v->vm->bt;
    unsigned user = v->cpl == 3;
    struct fetch_entry *c = &bt->fetch[(gla >> PAGE_SHIFT) & (FETCH_ENTRIES - 1)];
    struct walk w;

    if (c->gen == bt->fetch_gen && c->gla == gla_page(gla) && c->user == user) {
        *gpn = c->gpn;
        return true;
    }
    if (!mmu_walk(v, gla, GMEM_FETCH | (user ? GMEM_USER : 0), &w, f))
        return false;
    *gpn = gpa_to_gpn(w.gpa);
    *c = (struct fetch_entry){ gla_page(gla), *gpn, bt->fetch_gen, user };
    return true;
}

/* ---------------------------------------------------------------- records */

static void rec(struct tr *r, enum map_kind kind, unsigned arg, unsigned flags)
{
    struct tu *t = r->t;

    ASSERT(t->nmap < TU_MAP_MAX);
    t->map[t->nmap++] = (struct map_rec){ (uint16_t)(r->e.tca - t->tca), kind, (uint8_t)r->n, (uint8_t)arg,
                                          (uint8_t)flags };
}

static uint32_t insn_eip(const struct tr *r, unsigned n) { return r->t->eip + r->t->insn_off[n]; }

static void emit_callout(struct tr *r, enum callout kind, uint32_t sub)
{
    emit_store_imm(&r->e, WD_OFF(callout_arg), callout_arg(kind, tu_number(r->bt, r->t), sub));
    emit_bytes(&r->e, r->bt->callout_seq, r->bt->callout_len);
}

/* ------------------------------------------------------------------ exits */

static unsigned exit_new(struct tr *r, uint32_t target, tca_t site)
{
    struct tu *t = r->t;
    gla_t here = gla_page(t->cs_base + t->eip), there = gla_page(t->cs_base + target);
    unsigned x = t->nexits++;

    ASSERT(x < ARRAY_SIZE(t->exit));
    t->exit[x] = (struct tu_exit){ .target = target, .site = site,
                                   .chainable = !mode_user(r->mode) || here == there };
    return x;
}

/* The unchained end of an exit: ask the monitor, or (user code to another page) look up in the TC. */
static void emit_exit_stub(struct tr *r, unsigned x)
{
    struct tu_exit *exit = &r->t->exit[x];

    rec(r, MAP_STUB, x, 0);
    exit->stub = r->e.tca;
    put32(tc_hva(r->bt, exit->site), exit->stub - (exit->site + 4));
    if (exit->chainable || r->bt->opt.no_indirect) {
        emit_callout(r, CO_EXIT, x);
    } else {
        emit_store_imm(&r->e, WD_OFF(target_eip), exit->target);
        emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
        emit_jmp(&r->e, r->bt->l2_stub[mode_user(r->mode)]);
    }
}

static unsigned emit_exit_jmp(struct tr *r, uint32_t target)
{
    unsigned x = r->t->nexits;

    rec(r, MAP_EXIT_DIRECT, x, 0);
    exit_new(r, target, emit_jmp(&r->e, r->e.tca));
    return x;
}

static void emit_end(struct tr *r, uint32_t target)
{
    unsigned x = emit_exit_jmp(r, target);

    emit_exit_stub(r, x);
}

/* %ecx holds the target and its guest value is spilled. */
static void emit_indirect_end(struct tr *r, bool ret)
{
    unsigned user = mode_user(r->mode);

    emit_store(&r->e, REG_ECX, WD_OFF(target_eip));
    if (r->bt->opt.no_indirect) {
        rec(r, MAP_EXIT_IND, 0, 0);
        emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
        rec(r, MAP_STUB, 0, 0);
        emit_callout(r, CO_LOOKUP, 0);
    } else if (ret && !r->bt->opt.no_return_cache) {
        emit8(&r->e, 0x0f); emit8(&r->e, 0xb6); emit8(&r->e, MODRM(3, REG_ECX, REG_ECX)); /* movzbl %cl, %ecx */
        rec(r, MAP_EXIT_IND, 0, 0);
        emit8(&r->e, 0x65); emit8(&r->e, 0xff); emit8(&r->e, MODRM(0, 4, 4)); /* jmp *%gs:l1(,%ecx,4) */
        emit8(&r->e, MODRM(2, REG_ECX, 5));
        emit32(&r->e, WD_OFF(l1) + user * (uint32_t)sizeof(r->bt->wd->l1[0]));
    } else {
        rec(r, MAP_EXIT_IND, 0, 0);
        emit_jmp(&r->e, r->bt->l2_stub[user]);
    }
    r->ended = true;
}

/* ------------------------------------------------------- one class at a time */

static void emit_interp(struct tr *r, bool end)
{
    emit_callout(r, CO_INTERP, r->n);
    if (end)
        r->ended = true;
}

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

/* Emit ModRM, SIB and a disp32 raised by GS_BIAS, then what follows (immediates). */
static void emit_biased(struct tr *r, const struct bt_insn *in, const uint8_t *b, unsigned reg)
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

/* The segment prefix is one that translated code can use as it stands. */
static bool seg_usable(const struct tr *r, const struct bt_insn *in, const uint8_t *b)
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

static void emit_ident(struct tr *r, const struct bt_insn *in, const uint8_t *b)
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

/* The offset of the memory operand to %ecx. */
static void emit_lea_operand(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    emit8(&r->e, 0x8d);
    emit8(&r->e, (uint8_t)((in->modrm & ~0x38) | REG_ECX << 3));
    emit_bytes(&r->e, b + in->modrm_off + 1, address_len(in, b));
}

/* Is the offset in %ecx one of the upper 16 MiB?  The jump is to be patched. */
static uint8_t *emit_jump_if_high(struct tr *r)
{
    static const uint8_t top_byte[] = { 0x0f, 0xc9, 0x0f, 0xb6, 0xc9 }; /* bswap %ecx; movzbl %cl, %ecx */

    emit_bytes(&r->e, top_byte, sizeof top_byte);
    emit_lea(&r->e, REG_ECX, REG_ECX, 0u - 0xff);
    return emit_jcc8(&r->e, 0xe3); /* jecxz */
}

/* MOVS, CMPS, STOS, LODS, SCAS. */
static bool is_string(const struct bt_insn *in, const uint8_t *b)
{
    uint8_t op = b[in->opcode_off];

    return !in->modrm_off && op >= 0xa4 && op <= 0xaf && (op & 0xfe) != 0xa8;
}

/* Can it look where its operand lies?  Segments with a base of their own are never truncated where that is of use. */
static bool adaptable(const struct bt_insn *in, const uint8_t *b)
{
    bool segment = in->seg == 0xff || in->seg == SEG_DS || in->seg == SEG_ES || in->seg == SEG_SS;

    return in->mem && segment && !in->asz16 && (in->modrm_off ? in->modrm >> 6 != 3 : is_string(in, b));
}

/*
 * An instruction that reaches into the window now and then (adapt.c): if its operand lies near there, call out, else IDENT.
 * A string instruction may go through two registers; where it goes from there is not looked at.
 */
static void emit_adapted(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    uint8_t *high, *high2 = NULL, *done;

    if (!in->needs)
        r->t->adapted |= (uint16_t)BIT(r->n);
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    rec(r, MAP_BODY, 0, SPILL_ECX);
    if (in->modrm_off) {
        emit_lea_operand(r, in, b);
        high = emit_jump_if_high(r);
    } else {
        emit_lea(&r->e, REG_ECX, REG_EDI, 0);
        high = emit_jump_if_high(r);
        emit_lea(&r->e, REG_ECX, REG_ESI, 0);
        high2 = emit_jump_if_high(r);
    }
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    rec(r, MAP_BODY, 0, 0);
    emit_ident(r, in, b);
    done = emit_jcc8(&r->e, 0xeb);
    emit_land(&r->e, high);
    if (high2)
        emit_land(&r->e, high2);
    rec(r, MAP_BODY, 0, SPILL_ECX);
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_callout(r, in->needs ? CO_INTERP : CO_WINDOW, r->n); /* the interpreter has the FPU run by the CPU, which unsettles things */
    emit_land(&r->e, done);
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
static void emit_xsave_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
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

static void emit_jcc_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    uint32_t next = insn_eip(r, r->n + 1);
    unsigned cc = b[in->opcode_off] & 0xf;
    unsigned taken = exit_new(r, next + in->rel, emit_jcc(&r->e, cc, r->e.tca));
    unsigned fall = emit_exit_jmp(r, next);

    emit_exit_stub(r, taken);
    emit_exit_stub(r, fall);
    r->ended = true;
}

static void emit_loop_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    uint32_t next = insn_eip(r, r->n + 1);
    unsigned taken, fall;
    uint8_t *over;

    if (in->asz16)
        emit8(&r->e, 0x67);
    over = emit_jcc8(&r->e, b[in->opcode_off]);
    fall = emit_exit_jmp(r, next);
    emit_land(&r->e, over);
    taken = emit_exit_jmp(r, next + in->rel);
    emit_exit_stub(r, taken);
    emit_exit_stub(r, fall);
    r->ended = true;
}

/*
 * Push the return EIP and point the return cache at this TU's landing pad.
 * The pad's code is laid down by emit_pad(); its address is patched in there.
 */
static uint8_t *emit_push_return(struct tr *r, uint32_t ret, unsigned spill)
{
    uint8_t *imm;
    unsigned user = mode_user(r->mode);

    if (spill) /* else the instruction's own record says it all, and is a boundary */
        rec(r, MAP_BODY, 0, spill);
    emit_push_imm(&r->e, ret);
    if (r->bt->opt.no_return_cache || r->bt->opt.no_indirect)
        return NULL;
    emit_store_imm(&r->e, WD_OFF(l1[0]) + user * (uint32_t)sizeof(r->bt->wd->l1[0]) + (ret & 0xff) * 4, 0);
    imm = r->e.p - 4;
    return imm;
}

static void emit_pad(struct tr *r, uint32_t ret, uint8_t *imm)
{
    uint8_t *ok;

    if (!imm)
        return;
    rec(r, MAP_STUB, 0, 0);
    put32(imm, r->e.tca);
    r->t->pad = r->e.tca;
    r->t->pad_eip = ret;
    emit_load(&r->e, REG_ECX, WD_OFF(target_eip));
    emit_lea(&r->e, REG_ECX, REG_ECX, 0u - ret);
    ok = emit_jcc8(&r->e, 0xe3); /* jecxz */
    emit_jmp(&r->e, r->bt->l1_miss[mode_user(r->mode)]);
    emit_land(&r->e, ok);
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_end(r, ret);
}

static void emit_call_insn(struct tr *r, const struct bt_insn *in)
{
    uint32_t next = insn_eip(r, r->n + 1);
    uint8_t *imm;
    unsigned x;

    if (r->mode & MODE_SS16) {
        emit_interp(r, true);
        return;
    }
    imm = emit_push_return(r, next, 0);
    x = emit_exit_jmp(r, next + in->rel);
    emit_exit_stub(r, x);
    emit_pad(r, next, imm);
    r->ended = true;
}

static void emit_ret_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    if (r->mode & MODE_SS16) {
        emit_interp(r, true);
        return;
    }
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit8(&r->e, 0x59); /* pop %ecx: faults before anything has changed */
    rec(r, MAP_BODY, 0, SPILL_ECX);
    if (b[in->opcode_off] == 0xc2)
        emit_lea(&r->e, REG_ESP, REG_ESP, in->imm & 0xffff);
    emit_indirect_end(r, true);
}

/* MOV to %ecx from the operand of an indirect JMP or CALL. */
static void emit_load_target(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    unsigned rm = in->modrm & 7;

    if (in->modrm >> 6 == 3) {
        if (rm != REG_ECX) {
            emit8(&r->e, 0x89);
            emit8(&r->e, MODRM(3, rm, REG_ECX));
        }
        return;
    }
    if (in->seg != 0xff)
        emit8(&r->e, in->seg == SEG_GS ? 0x64 : b[in->seg_off]);
    if (in->asz16)
        emit8(&r->e, 0x67);
    emit8(&r->e, 0x8b);
    if (in->seg == SEG_GS && (r->mode & MODE_GSBIAS)) {
        emit_biased(r, in, b, REG_ECX);
        return;
    }
    emit8(&r->e, (uint8_t)((in->modrm & ~0x38) | REG_ECX << 3));
    emit_bytes(&r->e, b + in->modrm_off + 1, in->len - in->modrm_off - 1);
}

static void emit_indirect_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b, bool call)
{
    uint32_t next = insn_eip(r, r->n + 1);
    uint8_t *imm = NULL;

    if ((call && (r->mode & MODE_SS16)) || !seg_usable(r, in, b)) {
        emit_interp(r, true);
        return;
    }
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_load_target(r, in, b);
    if (call)
        imm = emit_push_return(r, next, SPILL_ECX);
    else
        rec(r, MAP_BODY, 0, SPILL_ECX);
    emit_indirect_end(r, false);
    emit_pad(r, next, imm);
}

static void emit_cli_insn(struct tr *r)
{
    if (r->bt->opt.no_inline_if || (r->mode & (MODE_CPL | MODE_ODDFLAGS)))
        emit_interp(r, false);
    else
        emit_store_imm(&r->e, WD_OFF(vif), 0);
}

static void emit_sti_insn(struct tr *r)
{
    uint8_t *clear;

    /* The last instruction of a TU would lose its interrupt shadow on the way to the next. */
    if (r->bt->opt.no_inline_if || (r->mode & (MODE_CPL | MODE_ODDFLAGS)) || r->n + 1 == r->t->ninsns) {
        emit_interp(r, false);
        return;
    }
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_load(&r->e, REG_ECX, WD_OFF(irq_pending));
    clear = emit_jcc8(&r->e, 0xe3);
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_interp(r, false);
    emit_land(&r->e, clear);
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_store_imm(&r->e, WD_OFF(vif), EFLAGS_IF);
}

/* Real PUSHF pushes IF=1 (the host's); add vif - IF with LEA, which keeps the flags. */
static void emit_pushf_insn(struct tr *r)
{
    if (r->bt->opt.no_inline_if || (r->mode & (MODE_ODDFLAGS | MODE_SS16))) {
        emit_interp(r, false);
        return;
    }
    emit8(&r->e, 0x9c);
    rec(r, MAP_BODY, 0, 0);
    emit_store(&r->e, REG_EAX, WD_OFF(spill_eax));
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit8(&r->e, 0x8b); emit8(&r->e, MODRM(0, REG_EAX, 4)); emit8(&r->e, 0x24);  /* mov (%esp), %eax */
    emit_load(&r->e, REG_ECX, WD_OFF(vif));
    emit8(&r->e, 0x8d); emit8(&r->e, MODRM(2, REG_EAX, 4)); emit8(&r->e, MODRM(0, REG_ECX, REG_EAX));
    emit32(&r->e, 0u - EFLAGS_IF);                                               /* lea -0x200(%eax,%ecx), %eax */
    emit8(&r->e, 0x89); emit8(&r->e, MODRM(0, REG_EAX, 4)); emit8(&r->e, 0x24);  /* mov %eax, (%esp) */
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_load(&r->e, REG_EAX, WD_OFF(spill_eax));
}

/* Flags are about to be replaced, so the tests may change them. */
static void emit_popf_insn(struct tr *r)
{
    const uint32_t plain = EFLAGS_ARITH | EFLAGS_DF | EFLAGS_ID | EFLAGS_IF | EFLAGS_FIXED;
    uint8_t *slow, *no_if = NULL, *slow2 = NULL, *done;

    if (r->bt->opt.no_inline_if || (r->mode & (MODE_ODDFLAGS | MODE_SS16)) ||
        (r->mode & MODE_CPL) == 1 || (r->mode & MODE_CPL) == 2) {
        emit_interp(r, true);
        return;
    }
    emit_store(&r->e, REG_EAX, WD_OFF(spill_eax));
    emit8(&r->e, 0x8b); emit8(&r->e, MODRM(0, REG_EAX, 4)); emit8(&r->e, 0x24); /* mov (%esp), %eax */
    rec(r, MAP_BODY, 0, SPILL_EAX);
    emit8(&r->e, 0xa9); emit32(&r->e, ~plain);                                  /* test $~plain, %eax */
    slow = emit_jcc8(&r->e, 0x75);
    if (!mode_user(r->mode)) {
        emit8(&r->e, 0x25); emit32(&r->e, EFLAGS_IF);                           /* and $IF, %eax */
        no_if = emit_jcc8(&r->e, 0x74);
        emit_gs(&r->e, 0x83, 7, WD_OFF(irq_pending)); emit8(&r->e, 0);          /* cmpl $0, irq_pending */
        slow2 = emit_jcc8(&r->e, 0x75);
        emit_land(&r->e, no_if);
        emit_store(&r->e, REG_EAX, WD_OFF(vif));
    }
    emit_load(&r->e, REG_EAX, WD_OFF(spill_eax));
    emit8(&r->e, 0x9d);
    done = emit_jcc8(&r->e, 0xeb);
    emit_land(&r->e, slow);
    if (slow2)
        emit_land(&r->e, slow2);
    emit_load(&r->e, REG_EAX, WD_OFF(spill_eax));
    emit_interp(r, false);
    emit_land(&r->e, done);
}

/* As CPUs do: 16 bits are written, the upper half of the slot stays. */
static void emit_push_selector(struct tr *r, unsigned seg)
{
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_load(&r->e, REG_ECX, WD_OFF(sel) + seg * 4);
    rec(r, MAP_BODY, 0, SPILL_ECX);
    emit_bytes(&r->e, (const uint8_t[]){ 0x66, 0x89, 0x4c, 0x24, 0xfc }, 5); /* mov %cx, -4(%esp) */
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_lea(&r->e, REG_ESP, REG_ESP, 0u - 4);
}

static void emit_seg_read_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    unsigned reg;

    if (r->bt->opt.no_inline_seg || (b[in->opcode_off] != 0x8c && (r->mode & MODE_SS16))) {
        emit_interp(r, false);
    } else if (b[in->opcode_off] == 0x8c) {
        reg = in->modrm >> 3 & 7;
        if (reg >= SEG_COUNT)
            emit_interp(r, true);
        else
            emit_load(&r->e, in->modrm & 7, WD_OFF(sel) + reg * 4);
    } else {
        /* PUSH: 06 0E 16 1E, 0F A0, 0F A8 */
        reg = b[in->opcode_off] >> 3 & 7;
        if (b[in->opcode_off] >= 0xa0)
            reg = b[in->opcode_off] == 0xa0 ? SEG_FS : SEG_GS;
        emit_push_selector(r, reg);
    }
}

/* Go on if ECX is zero, else to `slow`. */
static void emit_unless_zero(struct tr *r, const uint8_t *slow)
{
    uint8_t *same = emit_jcc8(&r->e, 0xe3); /* jecxz */

    emit8(&r->e, 0xeb);
    emit8(&r->e, (uint8_t)(slow - (r->e.p + 1)));
    emit_land(&r->e, same);
}

static void emit_restore_ax_cx(struct tr *r)
{
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_load(&r->e, REG_EAX, WD_OFF(spill_eax));
}

/* The load changes nothing if selector and descriptor are what reload.c noted; else it calls out. */
static void emit_seg_reload(struct tr *r, unsigned seg, uint32_t sub)
{
    static const uint8_t movzwl_cx[] = { 0x0f, 0xb7, 0xc9 }, lea_sum[] = { 0x8d, 0x0c, 0x01 } /* ecx = eax + ecx */,
                         pop_peek[] = { 0x8b, 0x0c, 0x24 } /* mov (%esp), %ecx */;
    const uint32_t kept = WD_OFF(reload) + seg * (uint32_t)sizeof(struct reload);
    uint8_t *same, *slow;

    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_store(&r->e, REG_EAX, WD_OFF(spill_eax));
    rec(r, MAP_BODY, 0, SPILL_EAX | SPILL_ECX);
    if (sub & SUB_POP) {
        emit_bytes(&r->e, pop_peek, sizeof pop_peek);
    } else {
        emit8(&r->e, 0x89); /* mov %reg, %ecx */
        emit8(&r->e, MODRM(3, SUB_REG(sub), REG_ECX));
    }
    emit_bytes(&r->e, movzwl_cx, sizeof movzwl_cx);
    emit_load(&r->e, REG_EAX, kept + (uint32_t)offsetof(struct reload, neg_sel));
    emit_bytes(&r->e, lea_sum, sizeof lea_sum);
    same = emit_jcc8(&r->e, 0xe3); /* jecxz */
    slow = r->e.p;
    emit_restore_ax_cx(r);
    emit_callout(r, CO_SEG_LOAD, sub);
    emit_land(&r->e, same);
    emit_load(&r->e, REG_EAX, kept + (uint32_t)offsetof(struct reload, gla));
    emit_bytes(&r->e, (const uint8_t[]){ 0x36, 0x8b, 0x08 }, 3); /* mov %ss:(%eax), %ecx */
    emit_load(&r->e, REG_EAX, kept + (uint32_t)offsetof(struct reload, neg_lo));
    emit_bytes(&r->e, lea_sum, sizeof lea_sum);
    emit_unless_zero(r, slow);
    emit_load(&r->e, REG_EAX, kept + (uint32_t)offsetof(struct reload, gla));
    emit_bytes(&r->e, (const uint8_t[]){ 0x36, 0x8b, 0x48, 0x04 }, 4); /* mov %ss:4(%eax), %ecx */
    emit_load(&r->e, REG_EAX, kept + (uint32_t)offsetof(struct reload, neg_hi));
    emit_bytes(&r->e, lea_sum, sizeof lea_sum);
    emit_unless_zero(r, slow);
    emit_restore_ax_cx(r);
    if (sub & SUB_POP)
        emit_lea(&r->e, REG_ESP, REG_ESP, 4);
}

static void emit_seg_load_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    uint8_t op = b[in->opcode_off];
    unsigned seg = op == 0x8e ? in->modrm >> 3 & 7 : op == 0x07 ? SEG_ES : op == 0x1f ? SEG_DS : op == 0xa1 ? SEG_FS : SEG_GS;
    uint32_t sub = r->n | seg << 4 | (op == 0x8e ? (in->modrm & 7u) << 8 : SUB_POP);

    if (r->bt->opt.no_inline_seg)
        emit_interp(r, false);
    else if ((r->mode & MODE_CPL) || (r->mode & MODE_SS16))
        emit_callout(r, CO_SEG_LOAD, sub);
    else
        emit_seg_reload(r, seg, sub);
}

static void emit_gate_insn(struct tr *r, const struct bt_insn *in)
{
    if (in->osz16 && in->cls == CL_IRET)
        emit_interp(r, true);
    else if (in->cls == CL_IRET)
        emit_callout(r, CO_IRET, r->n);
    else
        emit_callout(r, CO_INT, r->n | (in->imm & 0xff) << 4);
    r->ended = true;
}

/* IN and OUT: E4-E7 with an immediate port, EC-EF with DX.  Kernels write to port 80h to pass time, which needs none. */
static void emit_port_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    uint8_t op = b[in->opcode_off];
    unsigned size = !(op & 1) ? 1 : in->osz16 ? 2 : 4;
    uint32_t sub = r->n | size << 4 | (op & 2 ? SUB_PORT_OUT : 0) | (op & 8 ? SUB_PORT_DX : 0);

    if (r->bt->opt.no_inline_sys) {
        emit_interp(r, false);
        return;
    }
    if (op == 0xe6 && (in->imm & 0xff) == PORT_POST && !(r->mode & MODE_CPL) && !r->bt->by_steps) {
        emit8(&r->e, 0x65); /* mov %al, %gs:post */
        emit8(&r->e, 0xa2);
        emit32(&r->e, WD_OFF(post));
        return;
    }
    if (!(op & 8))
        emit_store_imm(&r->e, WD_OFF(operand), in->imm & 0xff);
    emit_callout(r, CO_PORT, sub);
}

static void emit_mov_cr_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    bool write = b[in->opcode_off] == 0x22;

    if (r->bt->opt.no_inline_sys)
        emit_interp(r, write);
    else
        emit_callout(r, CO_MOV_CR, r->n | (in->modrm >> 3 & 7u) << 4 | (write ? SUB_CR_WRITE : 0) | (in->modrm & 7u) << 8);
}

/* The segment of a 32-bit memory operand that has no prefix for it. */
static unsigned default_seg(const struct bt_insn *in, const uint8_t *b)
{
    unsigned mod = in->modrm >> 6, rm = in->modrm & 7, base = rm == 4 ? b[in->modrm_off + 1] & 7 : rm;

    return (rm == 4 && base == REG_ESP) || (base == REG_EBP && mod != 0) ? SEG_SS : SEG_DS;
}

/* The offset is what LEA of the same operand gives. */
static void emit_invlpg_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b)
{
    unsigned seg = in->seg != 0xff ? in->seg : default_seg(in, b);

    if (r->bt->opt.no_inline_sys || in->asz16 || in->lock) {
        emit_interp(r, true);
        return;
    }
    emit_store(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_lea_operand(r, in, b);
    rec(r, MAP_BODY, 0, SPILL_ECX);
    emit_store(&r->e, REG_ECX, WD_OFF(operand));
    emit_load(&r->e, REG_ECX, WD_OFF(spill_ecx));
    emit_callout(r, CO_INVLPG, r->n | seg << 4);
}

static bool needs_met(const struct tr *r, const struct bt_insn *in)
{
    return !((in->needs & NEED_FPU) && (r->mode & MODE_NOFPU)) &&
           !((in->needs & NEED_SSE) && (r->mode & MODE_NOSSE)) &&
           !((in->needs & NEED_XSAVE) && (r->mode & MODE_NOXSAVE)) &&
           !((in->needs & NEED_AVX) && (r->mode & MODE_NOAVX)) &&
           !((in->needs & NEED_AVX512) && (r->mode & MODE_NOAVX512));
}

/* A near transfer beyond a CS limit below 4 GiB is the transfer's own #GP: leave it to the interpreter. */
static bool may_leave_segment(const struct tr *r, const struct bt_insn *in)
{
    if (r->t->cs_limit == 0xffffffffu)
        return false;
    switch (in->cls) {
    case CL_RET: case CL_JMP_IND: case CL_CALL_IND:
        return true;
    case CL_JMP: case CL_JCC: case CL_LOOP: case CL_CALL:
        return insn_eip(r, r->n + 1) + in->rel > r->t->cs_limit;
    default:
        return false;
    }
}

static void emit_insn(struct tr *r, const struct bt_insn *in, const uint8_t *b, bool after_sti)
{
    r->t->insn_map[r->n] = r->t->nmap;
    rec(r, MAP_INSN, 0, after_sti ? MAP_SHADOW : 0);
    if (!needs_met(r, in) || may_leave_segment(r, in)) {
        emit_interp(r, true);
        return;
    }
    switch (in->cls) {
    case CL_IDENT:
        if (in->needs & NEED_XSAVE)
            emit_xsave_insn(r, in, b);
        else if (adaptable(in, b) && adapt_wanted(r->bt, r->t, r->n, b))
            emit_adapted(r, in, b);
        else
            emit_ident(r, in, b);
        break;
    case CL_INTERP: emit_interp(r, false); break;
    case CL_JMP: emit_end(r, insn_eip(r, r->n + 1) + in->rel); r->ended = true; break;
    case CL_JCC: emit_jcc_insn(r, in, b); break;
    case CL_LOOP: emit_loop_insn(r, in, b); break;
    case CL_CALL: emit_call_insn(r, in); break;
    case CL_RET: emit_ret_insn(r, in, b); break;
    case CL_JMP_IND: emit_indirect_insn(r, in, b, false); break;
    case CL_CALL_IND: emit_indirect_insn(r, in, b, true); break;
    case CL_CLI: emit_cli_insn(r); break;
    case CL_STI: emit_sti_insn(r); break;
    case CL_PUSHF: emit_pushf_insn(r); break;
    case CL_POPF: emit_popf_insn(r); break;
    case CL_SEG_READ: emit_seg_read_insn(r, in, b); break;
    case CL_SEG_LOAD: emit_seg_load_insn(r, in, b); break;
    case CL_PORT: emit_port_insn(r, in, b); break;
    case CL_MOV_CR: emit_mov_cr_insn(r, in, b); break;
    case CL_INVLPG: emit_invlpg_insn(r, in, b); break;
    case CL_IRET:
    case CL_INT: emit_gate_insn(r, in); break;
    case CL_RDTSC:
        if (r->mode & MODE_NOTSC)
            emit_interp(r, false);
        else
            emit_ident(r, in, b);
        break;
    default: emit_interp(r, true); break;
    }
}

/* ---------------------------------------------------------------- decoding */

static bool class_ends(unsigned cls)
{
    switch (cls) {
    case CL_IDENT: case CL_INTERP: case CL_CLI: case CL_STI: case CL_PUSHF: case CL_POPF:
    case CL_SEG_READ: case CL_SEG_LOAD: case CL_RDTSC: case CL_PORT: case CL_MOV_CR: case CL_INVLPG:
        return false;
    default:
        return true;
    }
}

/* Decode into r->insn; stops before an instruction that leaves `avail`.  0: not even one fits. */
static unsigned decode_block(struct tr *r, unsigned avail)
{
    unsigned max = r->bt->opt.tu_insns, off = 0, n = 0;
    struct tu *t = r->t;

    while (n < max) {
        struct bt_insn *in = &r->insn[n];

        bt_decode(&r->bt->decoder, r->bytes + off, avail - off < 15 ? avail - off : 15, in);
        if (!in->len) {
            if (avail - off >= 15 && !n) { /* undecodable, not cut off */
                in->len = 15;
                n++;
                t->insn_off[n] = (uint8_t)(off + 15);
            }
            break;
        }
        off += in->len;
        t->insn_off[++n] = (uint8_t)off;
        if (class_ends(in->cls))
            break;
    }
    if (n > 1 && r->insn[n - 1].cls == CL_STI)
        n--; /* it goes with the instruction in its shadow */
    return n;
}

/* The first instruction crosses the page: put both parts together. */
static bool fetch_crossing(struct tr *r, uint8_t buf[32], unsigned avail)
{
    struct vcpu *v = r->v;
    struct fault f;
    const uint8_t *next;

    if (!bt_fetch_page(v, r->t->cs_base + r->t->eip + avail, &r->t->gpn[1], &f) ||
        !(next = phys_hva(v->vm, gpn_to_gpa(r->t->gpn[1])))) {
        r->t->gpn[1] = NO_GPN;
        return false;
    }
    memset(buf, 0, 32);
    memcpy(buf, r->bytes, avail);
    memcpy(buf + avail, next, 16);
    r->bytes = buf;
    return true;
}

static bool decode_tu(struct tr *r, uint8_t buf[32], unsigned avail)
{
    struct tu *t = r->t;
    unsigned n;

    world_fence_begin(r->v->vm);
    n = decode_block(r, avail);
    if (!n && avail < 15 && fetch_crossing(r, buf, avail)) {
        unsigned max = r->bt->opt.tu_insns;

        r->bt->opt.tu_insns = 1;
        n = decode_block(r, avail + 16);
        r->bt->opt.tu_insns = max;
        if (n && t->insn_off[1] <= avail)
            t->gpn[1] = NO_GPN; /* undecodable bytes within the page */
        t->nochain = mode_user(r->mode);
    }
    world_fence_end(r->v->vm);
    t->ninsns = (uint8_t)n;
    t->len = n ? t->insn_off[n] : 0;
    return n && t->eip + (t->len - 1) >= t->eip && t->eip + (t->len - 1) <= t->cs_limit;
}

struct tu *bt_translate(struct vcpu *v, uint32_t mode, struct fault *f)
{
    struct bt *bt = v->vm->bt;
    struct tr r = { .v = v, .bt = bt, .mode = mode };
    uint32_t eip = v->eip;
    gla_t gla = v->seg[SEG_CS].base + eip;
    uint8_t buf[32];
    gpn_t gpn;

    f->vec = 0xff;
    if (!bt_fetch_page(v, gla, &gpn, f))
        return NULL;
    r.t = tu_new(v->vm);
    r.t->eip = eip;
    r.t->mode = mode;
    r.t->cs_base = v->seg[SEG_CS].base;
    r.t->cs_limit = v->seg[SEG_CS].limit;
    r.t->gpn[0] = gpn;
    if (!phys_hva(v->vm, gpn_to_gpa(gpn)))
        return NULL;
    r.bytes = phys_hva(v->vm, gpn_to_gpa(gpn)) + page_offset(gla);
    if (!decode_tu(&r, buf, PAGE_SIZE - page_offset(gla)))
        return NULL;
    r.e = (struct emit){ tc_hva(bt, r.t->tca), r.t->tca };
    for (r.n = 0; r.n < r.t->ninsns && !r.ended; r.n++)
        emit_insn(&r, &r.insn[r.n], r.bytes + r.t->insn_off[r.n], r.n && r.insn[r.n - 1].cls == CL_STI);
    if (!r.ended) {
        r.t->insn_map[r.n] = r.t->nmap;
        emit_end(&r, insn_eip(&r, r.n));
    }
    r.t->tc_len = (uint16_t)(r.e.tca - r.t->tca);
    ASSERT(r.t->tc_len <= 2048 - 16);
    tu_publish(v->vm, r.t);
    return r.t;
}
