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
#include "bt/translate.h"

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
    ASSERT(r.t->tc_len <= TU_ROOM - 16);
    tu_publish(v->vm, r.t);
    return r.t;
}
