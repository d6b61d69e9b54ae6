// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The translation cache: memory, TUs by key, chaining, invalidation, and the
 * fixed stubs behind the in-TC lookup.
 *
 * TC memory is handed out upwards and reclaimed only by a flush of the whole
 * cache, so TU numbers ascend with their addresses and a TC address is turned
 * back into its TU by binary search (tu_at).  A TU is found by (guest
 * physical page, EIP, mode); it is listed under each physical page that its
 * bytes come from, so that a write to the page finds what it makes stale.
 *
 * A direct jump between TUs is chained by patching its rel32.  Indirect
 * transfers put the target in the data page and go through the L2 table in
 * two dozen instructions that leave all registers and flags as they were;
 * returns try the L1 table (the return cache) first: it is indexed by the low
 * byte of the return address and leads to a landing pad inside the calling
 * TU, which checks that it is the right one.
 */
#include "base/assert.h"
#include "bt/bt_priv.h"
#include "bt/emit.h"

/* An EIP that is never looked for at the index of 0xffffffff. */
#define L2_NO_EIP (l2_index(0xffffffffu) ^ 1)

static unsigned hash_key(uint32_t eip, gpn_t gpn, uint32_t mode)
{
    uint32_t h = (eip ^ gpn * 0x9e3779b1u) + mode * 0x85ebca6bu;

    return (h ^ h >> 15) & (HASH_SIZE - 1);
}

static void emit_restore(struct emit *e)
{
    emit8(e, 0x04); emit8(e, 0x7f);             /* add $0x7f, %al: OF back */
    emit8(e, 0x9e);                             /* sahf */
    emit_load(e, REG_EDX, WD_OFF(spill_edx));
    emit_load(e, REG_EAX, WD_OFF(spill_eax));
    emit_load(e, REG_ECX, WD_OFF(spill_ecx));
}

/* On entry: target EIP in its slot, guest ECX in its slot, %ecx free. */
static void emit_l2_stub(struct bt *bt, struct emit *e, unsigned user)
{
    uint32_t table = WD_OFF(l2) + user * (uint32_t)sizeof(bt->wd->l2[0]);
    uint8_t *miss;

    bt->l2_stub[user] = bt->l1_miss[user] = e->tca;
    emit_store(e, REG_EAX, WD_OFF(spill_eax));
    emit8(e, 0x9f);                                             /* lahf */
    emit8(e, 0x0f); emit8(e, 0x90); emit8(e, 0xc0);             /* seto %al */
    emit_store(e, REG_EDX, WD_OFF(spill_edx));
    emit_load(e, REG_ECX, WD_OFF(target_eip));
    emit8(e, 0x89); emit8(e, MODRM(3, REG_ECX, REG_EDX));       /* mov %ecx, %edx */
    emit8(e, 0xc1); emit8(e, MODRM(3, 5, REG_EDX)); emit8(e, 12);
    emit8(e, 0x31); emit8(e, MODRM(3, REG_ECX, REG_EDX));
    emit8(e, 0x81); emit8(e, MODRM(3, 4, REG_EDX)); emit32(e, L2_SIZE - 1);
    emit8(e, 0x65); emit8(e, 0x39); emit8(e, MODRM(0, REG_ECX, 4)); /* cmp %ecx, %gs:l2(,%edx,8) */
    emit8(e, MODRM(3, REG_EDX, 5)); emit32(e, table);
    miss = emit_jcc8(e, 0x75);
    emit8(e, 0x65); emit8(e, 0x8b); emit8(e, MODRM(0, REG_ECX, 4)); /* mov %gs:l2+4(,%edx,8), %ecx */
    emit8(e, MODRM(3, REG_EDX, 5)); emit32(e, table + 4);
    emit_store(e, REG_ECX, WD_OFF(target_tca));
    emit_restore(e);
    bt->l2_jump[user] = e->tca;
    emit_gs(e, 0xff, 4, WD_OFF(target_tca));                    /* jmp *%gs:target_tca */
    emit_land(e, miss);
    emit_restore(e);
    emit_store_imm(e, WD_OFF(callout_arg), callout_arg(CO_LOOKUP, 0, 0));
    emit_bytes(e, bt->callout_seq, bt->callout_len);
}

static void emit_fixed_stubs(struct bt *bt)
{
    struct emit e = { bt->tc_rw, WIN_TC };

    emit_l2_stub(bt, &e, 0);
    emit_l2_stub(bt, &e, 1);
    e.tca = (e.tca + 63) & ~63u;
    bt->run_once = e.tca;
    bt->tc_start = e.tca + 64;
}

static void fill64(void *dst, uint64_t value, size_t n)
{
    __asm__ volatile("rep stosq" : "+D"(dst), "+c"(n) : "a"(value) : "memory");
}

void lookup_flush(struct bt *bt, unsigned user)
{
    fill64(bt->wd->l1[user], bt->l1_miss[user] * 0x100000001ull, L1_SIZE / 2);
    /* Nothing may hit an empty entry: the miss stub as its target would go round for ever. */
    fill64(bt->wd->l2[user], 0xffffffffu | (uint64_t)bt->l2_stub[user] << 32, L2_SIZE);
    bt->wd->l2[user][l2_index(0xffffffffu)].eip = L2_NO_EIP;
}

void lookup_insert(struct bt *bt, const struct tu *t)
{
    if (!bt->opt.no_indirect && !check_covers(bt, t))
        bt->wd->l2[mode_user(t->mode)][l2_index(t->eip)] = (struct lookup_entry){ t->eip, t->tca };
}

void tc_init(struct vm *vm)
{
    struct bt *bt = vm->bt;
    uint32_t room = WIN_TC_END - WIN_TC;

    bt->tc_rw = world_tc_rw(vm);
    bt->callout_len = world_callout_seq(vm, bt->callout_seq);
    emit_fixed_stubs(bt);
    if (bt->opt.tc_bytes && bt->opt.tc_bytes < room)
        room = bt->opt.tc_bytes;
    bt->tc_limit = WIN_TC + room;
    ASSERT(bt->tc_limit > bt->tc_start + 8192);
    bt->npages = gpa_to_gpn(vm->ram_size);
    bt->tu = arena_alloc(&vm->arena, sizeof(struct tu) * TU_MAX, 64);
    bt->hash = arena_alloc(&vm->arena, sizeof(uint32_t) * HASH_SIZE, 64);
    bt->page_tus = arena_alloc(&vm->arena, sizeof(uint32_t) * bt->npages, 64);
    bt->page_quiet = arena_alloc(&vm->arena, bt->npages, 64);
    bt->maps_max = TU_MAX * 16;
    bt->maps = arena_alloc(&vm->arena, sizeof(struct map_rec) * bt->maps_max, 64);
    bt->code_pages = arena_alloc(&vm->arena, sizeof(struct code_page) * CODE_PAGES, 64);
    bt->fetch = arena_alloc(&vm->arena, sizeof(struct fetch_entry) * FETCH_ENTRIES, 64);
    bt->ntus = 1;
    bt->tc_next = bt->tc_start;
}

void bt_flush(struct vm *vm, enum bt_flush reason)
{
    struct bt *bt = vm->bt;

    TRACE_EV(vm->trace, tc_flush, bt->tc_next - bt->tc_start, bt->ntus - 1, reason);
    vm->stats->tc_flushes++;
    vm->stats->tu_live = 0;
    if (bt->nplants) { /* for an event, which is still to be looked at */
        bt_unplant(bt);
        vm->vcpu->attention = 1;
    }
    /* Page traces stay; a write to a page without TUs lifts them. */
    for (uint32_t i = 1; i < bt->ntus; i++)
        for (int w = 0; w < 2; w++)
            if (bt->tu[i].gpn[w] != NO_GPN)
                bt->page_tus[bt->tu[i].gpn[w]] = 0;
    memset(bt->hash, 0, sizeof(uint32_t) * HASH_SIZE);
    memset(bt->code_pages, 0, sizeof(struct code_page) * CODE_PAGES);
    bt->ncode_pages = 0;
    bt->ntus = 1;
    bt->nmaps = 0;
    bt->tc_next = bt->tc_start;
    bt->chain_from = NO_EXIT;
    bt->flush_count++;
    lookup_flush(bt, 0);
    lookup_flush(bt, 1);
}

uint32_t tu_number(const struct bt *bt, const struct tu *t)
{
    return (uint32_t)(t - bt->tu);
}

struct tu *tu_find(struct bt *bt, uint32_t eip, gpn_t gpn, uint32_t mode, const struct vcpu *v)
{
    const struct seg *cs = &v->seg[SEG_CS];

    for (uint32_t i = bt->hash[hash_key(eip, gpn, mode)]; i; i = bt->tu[i].hash_next) {
        struct tu *t = &bt->tu[i];

        if (t->eip == eip && t->gpn[0] == gpn && t->mode == mode && t->cs_base == cs->base &&
            t->cs_limit == cs->limit)
            return t;
    }
    return NULL;
}

struct tu *tu_new(struct vm *vm)
{
    struct bt *bt = vm->bt;
    struct tu *t;

    if (bt->ntus == TU_MAX || bt->nmaps + TU_MAP_MAX > bt->maps_max || bt->tc_next + TU_ROOM > bt->tc_limit)
        bt_flush(vm, BT_FLUSH_FULL);
    t = &bt->tu[bt->ntus];
    memset(t, 0, sizeof *t);
    t->gpn[0] = t->gpn[1] = NO_GPN;
    t->tca = bt->tc_next;
    t->map = &bt->maps[bt->nmaps];
    return t;
}

static void code_page_note(struct bt *bt, gla_t gla, gpn_t gpn)
{
    uint32_t i = (gla >> PAGE_SHIFT) * 0x9e3779b1u >> 19; /* 13 bits */

    gla = gla_page(gla);
    for (uint32_t n = 0; n < CODE_PAGES; n++, i = (i + 1) & (CODE_PAGES - 1)) {
        struct code_page *c = &bt->code_pages[i];

        if (c->used && c->gla != gla)
            continue;
        bt->ncode_pages += !c->used;
        *c = (struct code_page){ gla, gpn, true };
        return;
    }
}

/* Twelve bytes a record, so that the reader can list guest code beside its translation. */
static void trace_bytes(struct vm *vm, enum trace_event event, const uint8_t *bytes, unsigned len)
{
    for (unsigned i = 0; i < len; i += 12) {
        uint32_t w[3] = { 0, 0, 0 };

        memcpy(w, bytes + i, len - i < 12 ? len - i : 12);
        trace_write(vm->trace, event, w[0], w[1], w[2]);
    }
}

static void trace_guest(struct vm *vm, const struct tu *t)
{
    uint32_t off = page_offset(t->cs_base + t->eip);
    uint32_t here = t->len < PAGE_SIZE - off ? t->len : PAGE_SIZE - off;
    uint8_t bytes[256] = { 0 };

    memcpy(bytes, phys_hva(vm, gpn_to_gpa(t->gpn[0])) + off, here);
    if (here < t->len && t->gpn[1] != NO_GPN)
        memcpy(bytes + here, phys_hva(vm, gpn_to_gpa(t->gpn[1])), t->len - here);
    trace_bytes(vm, TRACE_tu_guest, bytes, t->len);
}

static void trace_map(struct vm *vm, const struct tu *t)
{
    for (unsigned i = 0; i < t->nmap; i += 3) {
        uint32_t w[3] = { 0, 0, 0 };

        for (unsigned j = 0; j < 3 && i + j < t->nmap; j++)
            w[j] = t->map[i + j].off | (uint32_t)t->map[i + j].kind << 16 | (uint32_t)t->map[i + j].insn << 20 | BIT(31);
        trace_write(vm->trace, TRACE_tu_map, w[0], w[1], w[2]);
    }
}

static void trace_tu(struct vm *vm, const struct tu *t)
{
    TRACE_EV(vm->trace, tu, t->eip, t->tca, t->len | t->tc_len << 16);
    if (TRACE_ON(vm->trace, tu_guest))
        trace_guest(vm, t);
    if (TRACE_ON(vm->trace, tu_map))
        trace_map(vm, t);
    if (TRACE_ON(vm->trace, tu_host))
        trace_bytes(vm, TRACE_tu_host, tc_hva(vm->bt, t->tca), t->tc_len);
}

/* The TU's code, map and fields are complete: make it findable. */
void tu_publish(struct vm *vm, struct tu *t)
{
    struct bt *bt = vm->bt;
    uint32_t no = bt->ntus++;
    unsigned h = hash_key(t->eip, t->gpn[0], t->mode);

    t->live = true;
    t->hash_next = bt->hash[h];
    bt->hash[h] = no;
    for (unsigned w = 0; w < 2; w++) {
        if (t->gpn[w] == NO_GPN)
            continue;
        t->page_next[w] = bt->page_tus[t->gpn[w]];
        bt->page_tus[t->gpn[w]] = no << 1 | w;
        mmu_trace(vm, t->gpn[w]);
        if (!mode_user(t->mode)) {
            gla_t gla = t->cs_base + t->eip + (w ? PAGE_SIZE : 0);

            code_page_note(bt, gla, t->gpn[w]);
        }
    }
    bt->nmaps += t->nmap;
    bt->tc_next += t->tc_len;
    vm->stats->tu_translated++;
    vm->stats->tu_insns += t->ninsns;
    vm->stats->tu_live++;
    vm->stats->tc_bytes = bt->tc_next - bt->tc_start;
    trace_tu(vm, t);
}

struct tu *tu_at(struct bt *bt, tca_t tca)
{
    uint32_t lo = 1, hi = bt->ntus;

    if (tca < bt->tc_start || tca >= bt->tc_next)
        return NULL;
    while (hi - lo > 1) {
        uint32_t mid = (lo + hi) / 2;

        if (bt->tu[mid].tca <= tca)
            lo = mid;
        else
            hi = mid;
    }
    return lo < bt->ntus && tca - bt->tu[lo].tca < bt->tu[lo].tc_len ? &bt->tu[lo] : NULL;
}

static void patch_rel32(struct bt *bt, tca_t site, tca_t to)
{
    put32(tc_hva(bt, site), to - (site + 4));
}

void tu_chain(struct vm *vm, struct tu *from, unsigned exit, struct tu *to)
{
    struct bt *bt = vm->bt;
    struct tu_exit *x = &from->exit[exit];

    if (!from->live || !to->live || x->to || to->nochain || bt->opt.no_chain || check_covers(bt, to) || !x->chainable)
        return;
    x->to = tu_number(bt, to);
    x->next_in = to->in;
    to->in = tu_number(bt, from) << 1 | exit;
    patch_rel32(bt, x->site, to->tca);
    vm->stats->chains++;
    TRACE_EV(vm->trace, chain, x->site, to->eip, to->tca);
}

static void unchain_in(struct bt *bt, struct tu *t)
{
    uint32_t in = t->in;

    while (in) {
        struct tu_exit *x = &bt->tu[in >> 1].exit[in & 1];

        in = x->next_in;
        patch_rel32(bt, x->site, x->stub);
        x->to = x->next_in = 0;
    }
    t->in = 0;
}

static void unchain_out(struct bt *bt, struct tu *t, unsigned exit)
{
    struct tu_exit *x = &t->exit[exit];
    uint32_t self = tu_number(bt, t) << 1 | exit;
    uint32_t *link;

    if (!x->to)
        return;
    for (link = &bt->tu[x->to].in; *link != self; link = &bt->tu[*link >> 1].exit[*link & 1].next_in)
        ASSERT(*link);
    *link = x->next_in;
    x->to = x->next_in = 0;
}

static void page_unlink(struct bt *bt, struct tu *t, unsigned w)
{
    uint32_t self = tu_number(bt, t) << 1 | w;
    uint32_t *link;

    if (t->gpn[w] == NO_GPN)
        return;
    for (link = &bt->page_tus[t->gpn[w]]; *link != self; link = &bt->tu[*link >> 1].page_next[*link & 1])
        ASSERT(*link);
    *link = t->page_next[w];
}

void tu_kill(struct vm *vm, struct tu *t)
{
    struct bt *bt = vm->bt;
    uint32_t no = tu_number(bt, t);
    unsigned user = mode_user(t->mode);
    struct lookup_entry *l2 = &bt->wd->l2[user][l2_index(t->eip)];
    uint32_t *link;

    ASSERT(t->live);
    t->live = false;
    unchain_in(bt, t);
    for (unsigned x = 0; x < t->nexits; x++)
        unchain_out(bt, t, x);
    for (link = &bt->hash[hash_key(t->eip, t->gpn[0], t->mode)]; *link != no; link = &bt->tu[*link].hash_next)
        ASSERT(*link);
    *link = t->hash_next;
    page_unlink(bt, t, 0);
    page_unlink(bt, t, 1);
    if (l2->tca == t->tca)
        *l2 = (struct lookup_entry){ 0xffffffffu, bt->l2_stub[user] };
    if (l2_index(t->eip) == l2_index(0xffffffffu) && l2->eip == 0xffffffffu)
        l2->eip = L2_NO_EIP;
    if (t->pad && bt->wd->l1[user][t->pad_eip & 0xff] == t->pad)
        bt->wd->l1[user][t->pad_eip & 0xff] = bt->l1_miss[user];
    vm->stats->tu_live--;
}
