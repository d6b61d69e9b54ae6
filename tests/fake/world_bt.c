// SPDX-License-Identifier: GPL-2.0-or-later
/* See the header. */
#include "tests/fake/world_bt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/undo.h"
#include "cpu/control.h"
#include "cpu/exception.h"
#include "cpu/fpnative.h"
#include "cpu/interp.h"
#include "cpu/io.h"
#include "world/truncate.h"

#define ARENA_SIZE (40u << 20)

struct fake_bt fake_bt;

void bug_at(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: BUG: %s\n", file, line, what);
    abort();
}

/* ----------------------------------------------------------------- memory */

static uint8_t *page_at(struct vcpu *v, gla_t gla, unsigned access)
{
    if (v != &fake_bt.emu && gla >= FAKE_BT_TOP)
        gla = gla - FAKE_BT_TOP + FAKE_BT_TOP_AT;
    if (v == &fake_bt.emu && gla >= WIN_DATA && gla < WIN_DATA + WIN_DATA_SIZE)
        return fake_bt.window + (gla - WIN_DATA);
    if (v == &fake_bt.emu && gla >= WIN_TC && gla < WIN_TC_END)
        return access & GMEM_WRITE ? NULL : fake_bt.tc + (gla - WIN_TC);
    if (gla >= FAKE_BT_RAM || fake_bt.map[gla >> PAGE_SHIFT] == NO_GPN)
        return NULL;
    if (v == &fake_bt.emu && (fake_bt.hidden[gla >> PAGE_SHIFT] ||
                              ((access & GMEM_WRITE) && fake_bt.traced[fake_bt.map[gla >> PAGE_SHIFT]])))
        return NULL;
    return fake_bt.vm.ram + gpn_to_gpa(fake_bt.map[gla >> PAGE_SHIFT]) + page_offset(gla);
}

static bool reachable(struct vcpu *v, gla_t gla, unsigned len, unsigned access, struct fault *f)
{
    for (gla_t at = gla; at - gla < len; at = (at | PAGE_MASK) + 1)
        if (!page_at(v, at, access)) {
            *f = (struct fault){VEC_PF, true, (access & GMEM_WRITE ? PFERR_W : 0) | (access & GMEM_USER ? PFERR_U : 0), at};
            return false;
        }
    return true;
}

static unsigned piece(gla_t gla, unsigned len)
{
    return PAGE_SIZE - page_offset(gla) < len ? PAGE_SIZE - page_offset(gla) : len;
}

void *gmem_seen(struct vcpu *v, gla_t gla, unsigned len, unsigned access)
{
    (void)v, (void)gla, (void)len, (void)access;
    return NULL;
}

void *gmem_keep(struct vcpu *v, gla_t gla, unsigned len, unsigned access)
{
    (void)v, (void)gla, (void)len, (void)access;
    return NULL;
}

bool gmem_read(struct vcpu *v, gla_t gla, void *buf, unsigned len, unsigned access, struct fault *f)
{
    uint8_t *p = buf;

    if (!reachable(v, gla, len, access, f))
        return false;
    for (unsigned n; len; len -= n, gla += n, p += n) {
        n = piece(gla, len);
        memcpy(p, page_at(v, gla, access), n);
    }
    return true;
}

bool gmem_write(struct vcpu *v, gla_t gla, const void *buf, unsigned len, unsigned access, struct fault *f)
{
    const uint8_t *p = buf;

    access |= GMEM_WRITE;
    if (!reachable(v, gla, len, access, f))
        return false;
    for (unsigned n; len; len -= n, gla += n, p += n) {
        uint8_t *to = page_at(v, gla, access);
        n = piece(gla, len);
        if (v != &fake_bt.emu && fake_bt.vm.undo)
            undo_note(fake_bt.vm.undo, to, n);
        memcpy(to, p, n);
        if (v != &fake_bt.emu && !fake_bt.vm.undo && fake_bt.traced[(to - fake_bt.vm.ram) >> PAGE_SHIFT])
            bt_code_written(&fake_bt.vm, (gpa_t)(to - fake_bt.vm.ram), n);
    }
    return true;
}

bool gmem_probe(struct vcpu *v, gla_t gla, unsigned len, unsigned access, struct fault *f)
{
    return reachable(v, gla, len, access, f);
}

void gmem_cr3_loaded(struct vcpu *v)
{
    (void)v;
    fake_bt.gens.user++;
}
void gmem_mode_changed(struct vcpu *v, uint32_t old_cr0, uint32_t old_cr4, uint64_t old_efer)
{
    (void)v, (void)old_cr0, (void)old_cr4, (void)old_efer;
    fake_bt.gens.user++;
    fake_bt.gens.global++;
}
void gmem_invlpg(struct vcpu *v, gla_t gla)
{
    (void)v, (void)gla;
    fake_bt.gens.user++;
    fake_bt.gens.global++;
}
bool gmem_load_pdptes(struct vcpu *v, uint32_t cr3, uint32_t cr4, uint64_t efer)
{
    (void)v, (void)cr3, (void)cr4, (void)efer;
    return true;
}

enum phys_kind phys_kind(const struct vm *vm, gpa_t gpa) { return gpa < vm->ram_size ? PHYS_RAM : PHYS_MMIO; }

bool mmu_peek(struct vcpu *v, gla_t gla, struct walk *w)
{
    (void)v;
    if (gla >= FAKE_BT_TOP)
        gla = gla - FAKE_BT_TOP + FAKE_BT_TOP_AT;
    if (gla >= FAKE_BT_RAM || fake_bt.map[gla >> PAGE_SHIFT] == NO_GPN)
        return false;
    *w = (struct walk){gpn_to_gpa(fake_bt.map[gla >> PAGE_SHIFT]) + page_offset(gla), PAGE_SIZE, true, true, false,
                       false, true};
    return true;
}

bool mmu_walk(struct vcpu *v, gla_t gla, unsigned access, struct walk *w, struct fault *f)
{
    if (mmu_peek(v, gla, w))
        return true;
    *f = (struct fault){VEC_PF, true, access & GMEM_USER ? PFERR_U : 0, gla};
    return false;
}

enum fill_result mmu_fill(struct vcpu *v, unsigned view, gla_t gla, unsigned access, struct fault *f)
{
    struct walk w;

    (void)view;
    fake_bt.fills++;
    if (!mmu_walk(v, gla, access, &w, f)) {
        f->err |= access & GMEM_WRITE ? PFERR_W : 0;
        return FILL_TRUE;
    }
    if ((access & GMEM_WRITE) && fake_bt.traced[gpa_to_gpn(w.gpa)])
        return FILL_TRACED;
    fake_bt.hidden[gla >> PAGE_SHIFT] = false;
    return FILL_MAPPED;
}

void mmu_prefill(struct vcpu *v, unsigned view, gla_t gla) { (void)v, (void)view, (void)gla; }
unsigned mmu_kernel_view(struct vcpu *v)
{
    (void)v;
    return VIEW_KERNEL;
}
gla_t mmu_user_limit(struct vcpu *v)
{
    (void)v;
    return fake_bt.user_limit;
}
void mmu_trace(struct vm *vm, gpn_t gpn)
{
    (void)vm;
    fake_bt.traces += !fake_bt.traced[gpn];
    fake_bt.traced[gpn] = true;
}
void mmu_untrace(struct vm *vm, gpn_t gpn)
{
    (void)vm;
    fake_bt.untraces += fake_bt.traced[gpn];
    fake_bt.traced[gpn] = false;
}
bool mmu_traced(const struct vm *vm, gpn_t gpn)
{
    (void)vm;
    return fake_bt.traced[gpn];
}
const struct mmu_gens *mmu_gens(const struct vm *vm)
{
    (void)vm;
    return &fake_bt.gens;
}

/* ------------------------------------------------------------ world and I/O */

uint8_t *world_tc_rw(struct vm *vm)
{
    (void)vm;
    return fake_bt.tc;
}
void *world_win_data(struct vm *vm)
{
    (void)vm;
    return fake_bt.window;
}
unsigned world_callout_seq(struct vm *vm, uint8_t out[8])
{
    (void)vm;
    memcpy(out, "\xea\x00\x00\xc4\xff\x33\x00", 7); /* ljmp $0x33, $WIN_STUBS */
    return 7;
}
void world_fence_begin(struct vm *vm) { (void)vm; }
void world_fence_end(struct vm *vm) { (void)vm; }
/* The interpreter takes a turn: time passes. */
void world_breathe(struct vm *vm)
{
    if (fake_bt.attention_in && --fake_bt.attention_in == 0)
        vm->vcpu->attention = 1;
}
gla_t world_min_gla(struct vm *vm)
{
    (void)vm;
    return 0;
}
unsigned world_direct_views(struct vm *vm)
{
    (void)vm;
    return 0;
}

/* The segment register that holds the descriptor t. */
static struct seg held(const struct truncated *t)
{
    struct seg s = {0x2f, SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_A | SEG_ATTR_DPL, t->base, t->limit};

    s.attr |= (uint16_t)((t->flags & TRUNC_RDONLY ? 0 : SEG_ATTR_RW) | (t->flags & TRUNC_DOWN ? SEG_ATTR_EC : 0) |
                         (t->flags & TRUNC_BIG ? SEG_ATTR_DB : 0));
    if (t->flags & TRUNC_PAGES) {
        s.attr |= SEG_ATTR_G;
        s.limit = t->limit << PAGE_SHIFT | PAGE_MASK;
    }
    return s;
}

bool world_seg_sync(struct vcpu *v, gla_t user_limit, bool gs_to_fs)
{
    struct vcpu *emu = &fake_bt.emu;
    struct truncated t;

    v->hsel_dirty = 0;
    for (unsigned s = 0; s < SEG_COUNT; s++) {
        if (seg_truncate(&v->seg[s == SEG_FS && gs_to_fs ? SEG_GS : s], user_limit, s == SEG_SS, s == SEG_FS, &t))
            emu->seg[s] = held(&t);
        else if (s == SEG_SS)
            v->hsel_dirty = BIT(SEG_SS);
        else
            emu->seg[s] = (struct seg){0};
    }
    emu->seg[SEG_GS] = (struct seg){0x33, SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW | SEG_ATTR_A | SEG_ATTR_DB | SEG_ATTR_DPL,
                                    WIN_DATA, WIN_DATA_SIZE - 1};
    emu->seg[SEG_CS] = (struct seg){0x2b, SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_CODE | SEG_ATTR_A | SEG_ATTR_DB |
                                    SEG_ATTR_DPL, 0, 0xffffffffu};
    return !v->hsel_dirty;
}

/* One step of the emulated CPU; false: v->exit is filled. */
static bool emu_step(struct vcpu *v, struct vcpu *emu)
{
    const uint8_t *code = emu->eip >= WIN_TC && emu->eip < WIN_TC_END ? fake_bt.tc + (emu->eip - WIN_TC) : NULL;
    struct fault f;

    ASSERT(code);
    if (fake_bt.attention_in && --fake_bt.attention_in == 0) {
        v->attention = 1;
        v->exit = (struct exit){.kind = EXIT_ATTENTION, .tca = emu->eip};
        return false;
    }
    if (!memcmp(code, "\xea\x00\x00\xc4\xff\x33\x00", 7)) {
        v->exit = (struct exit){.kind = EXIT_CALLOUT};
        return false;
    }
    if (*code == 0xcc) {
        v->exit = (struct exit){.kind = EXIT_FAULT, .tca = emu->eip, .vec = VEC_BP};
        return false;
    }
    if (fake_bt.on_step)
        fake_bt.on_step(emu);
    fake_bt.steps++;
    switch (interp_step(emu, &f)) {
    case INTERP_OK:
        return true;
    case INTERP_FAULT:
        v->exit = (struct exit){.kind = EXIT_FAULT, .tca = emu->eip, .vec = f.vec, .err = f.err, .cr2 = f.cr2};
        return false;
    default:
        BUG("translated code halted");
    }
}

void world_enter(struct vcpu *v, tca_t tca)
{
    struct vcpu *emu = &fake_bt.emu;

    v->exit = (struct exit){.kind = EXIT_NONE};
    if (v->attention)
        return;
    fake_bt.enters++;
    memcpy(emu->gpr, v->gpr, sizeof emu->gpr);
    emu->eip = tca;
    emu->eflags = (v->hflags & EFLAGS_LIVE) | EFLAGS_IF | EFLAGS_FIXED;
    emu->cpl = 3;
    while (emu_step(v, emu))
        ;
    memcpy(v->gpr, emu->gpr, sizeof v->gpr);
    v->hflags = emu->eflags;
}

uint32_t io_in(struct vcpu *v, uint16_t port, unsigned size)
{
    (void)v, (void)size;
    return port;
}
void io_out(struct vcpu *v, uint16_t port, uint32_t value, unsigned size) { (void)v, (void)port, (void)value, (void)size; }
uint64_t io_rdtsc(void) { return fake_bt.tsc; }
void io_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    (void)leaf, (void)subleaf;
    memset(out, 0, 16);
}
int fpnative_run(struct vcpu *v, const struct insn *in, const uint8_t *bytes, void *mem, unsigned memlen)
{
    (void)v, (void)in, (void)bytes;
    if (mem)
        memset(mem, 0x5a, memlen);
    return 0;
}

/* ------------------------------------------------------------------ set-up */

/* Selectors 8..0x30 are flat segments of DPL 0 in the order of SEG_LIST, 0x48..0x70 of DPL 3. */
static uint16_t flat_sel(unsigned seg, unsigned cpl)
{
    return (uint16_t)(8 * (seg + 1) + (cpl ? 0x40 : 0) + cpl);
}

void fake_bt_vcpu(unsigned cpl)
{
    struct vcpu *v = &fake_bt.vcpu;
    uint16_t dpl = (uint16_t)(cpl << 5);

    memset(v, 0, sizeof *v);
    v->vm = &fake_bt.vm;
    v->cpuid = cpuid_model_find("btvmm32");
    vcpu_reset(v);
    v->cr0 = CR0_PE | CR0_ET | CR0_NE;
    v->cr4 = CR4_OSFXSR;
    v->cpl = (uint8_t)cpl;
    v->eflags = EFLAGS_FIXED;
    for (unsigned s = 0; s < SEG_COUNT; s++)
        v->seg[s] = (struct seg){flat_sel(s, cpl), SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW | SEG_ATTR_A | SEG_ATTR_DB |
                                 SEG_ATTR_G | dpl, 0, 0xffffffffu};
    v->seg[SEG_CS].attr |= SEG_ATTR_CODE;
    if (cpl == 3)
        v->seg[SEG_FS] = (struct seg){0};
    v->gdtr = (struct dtr){FAKE_BT_GDT, 0xff};
    v->idtr = (struct dtr){FAKE_BT_IDT, 256 * 8 - 1};
    v->tr = (struct seg){0x80, SEG_ATTR_P | 11, FAKE_BT_TSS, 0x67};
    v->gpr[REG_ESP] = 0x80000;
    v->hsel_dirty = 0x3f;
}

/* GDT, IDT (all gates lead to a HLT) and a TSS for the stack of CPL 0. */
static void put_tables(uint8_t *ram)
{
    for (unsigned s = 0; s < SEG_COUNT; s++)
        for (unsigned dpl = 0; dpl < 4; dpl += 3) {
            uint8_t *d = ram + FAKE_BT_GDT + (flat_sel(s, dpl) & ~7u);
            put32(d, 0xffff);
            put32(d + 4, 0xcf9300u | (s == SEG_CS ? 0x800 : 0) | dpl << 13);
        }
    for (unsigned i = 0; i < 256; i++) {
        put32(ram + FAKE_BT_IDT + 8 * i, (uint32_t)flat_sel(SEG_CS, 0) << 16 | (FAKE_BT_HANDLERS + 16 * i));
        put32(ram + FAKE_BT_IDT + 8 * i + 4, 0xee00);
        ram[FAKE_BT_HANDLERS + 16 * i] = 0xf4;
    }
    put32(ram + FAKE_BT_TSS + 4, 0x90000);
    put16(ram + FAKE_BT_TSS + 8, flat_sel(SEG_SS, 0));
    put16(ram + FAKE_BT_TSS + 0x66, 0x68);
}

static void reset_fakes(void)
{
    memset(fake_bt.vm.ram, 0, FAKE_BT_RAM);
    put_tables(fake_bt.vm.ram);
    memset(fake_bt.vm.stats, 0, sizeof *fake_bt.vm.stats);
    memset(fake_bt.traced, 0, sizeof fake_bt.traced);
    memset(fake_bt.hidden, 0, sizeof fake_bt.hidden);
    for (unsigned i = 0; i < FAKE_BT_PAGES; i++)
        fake_bt.map[i] = i;
    fake_bt.user_limit = WIN_BASE;
    fake_bt.attention_in = 0;
    fake_bt.steps = 0;
    fake_bt.on_step = NULL;
    fake_bt.vm.stop = VM_RUNNING;
    fake_bt_vcpu(0);
    fake_bt.emu = fake_bt.vcpu;
}

struct vm *fake_bt_new(const struct bt_options *opt)
{
    struct vm *vm = &fake_bt.vm;

    if (!vm->ram) {
        vm->ram = malloc(FAKE_BT_RAM);
        vm->ram_size = FAKE_BT_RAM;
        vm->stats = malloc(sizeof *vm->stats);
        vm->trace = calloc(1, sizeof *vm->trace);
        vm->cross = calloc(1, sizeof *vm->cross);
        vm->config = &vm->cross->config;
        vm->vcpu = &fake_bt.vcpu;
        arena_init(&vm->arena, malloc(ARENA_SIZE), ARENA_SIZE);
    }
    reset_fakes();
    vm->arena.used = 0;
    vm->cross->config.bt = opt ? *opt : (struct bt_options){0};
    bt_init(vm);
    return vm;
}

void fake_bt_again(void)
{
    struct bt *bt = fake_bt.vm.bt;

    reset_fakes();
    memset(bt->page_quiet, 0, bt->npages);
    bt_reset(&fake_bt.vm);
}

void fake_bt_code(uint32_t gla, const void *bytes, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        *page_at(&fake_bt.vcpu, gla + i, GMEM_READ) = ((const uint8_t *)bytes)[i];
    fake_bt.vcpu.eip = gla;
}

void fake_bt_run(uint64_t turns)
{
    struct vcpu *v = &fake_bt.vcpu;

    while (turns-- && !fake_bt.vm.stop && !v->halted) {
        v->attention = 0;
        if (bt_can_run(v))
            bt_run(v);
        else
            interp_run_one(v);
    }
}

/* ------------------------------------------------------------- consistency */

static void check_exit(struct bt *bt, const struct tu *t, unsigned x)
{
    const struct tu_exit *e = &t->exit[x];
    tca_t goes = e->site + 4 + get32(tc_hva(bt, e->site));
    uint32_t self = tu_number(bt, t) << 1 | x, links = 0;

    ASSERT(e->site >= t->tca && e->site + 4 <= t->tca + t->tc_len);
    ASSERT(e->stub >= t->tca && e->stub < t->tca + t->tc_len);
    if (!e->to) {
        ASSERT(goes == e->stub);
        return;
    }
    struct tu *to = &bt->tu[e->to];
    ASSERT(to->live && to->eip == e->target && to->mode == t->mode && !to->nochain && e->chainable);
    ASSERT(goes == to->tca);
    for (uint32_t in = to->in, n = 0; in; in = bt->tu[in >> 1].exit[in & 1].next_in) {
        ASSERT(++n < 3 * TU_MAX);
        ASSERT(bt->tu[in >> 1].live && bt->tu[in >> 1].exit[in & 1].to == e->to);
        links += in == self;
    }
    ASSERT(links == 1);
}

static void check_pages(struct bt *bt)
{
    for (uint32_t p = 0; p < bt->npages; p++) {
        uint32_t n = 0;

        for (uint32_t l = bt->page_tus[p]; l; l = bt->tu[l >> 1].page_next[l & 1]) {
            ASSERT(l >> 1 < bt->ntus && bt->tu[l >> 1].live && bt->tu[l >> 1].gpn[l & 1] == p && ++n < 2 * TU_MAX);
            ASSERT(fake_bt.traced[p]);
        }
    }
}

static void check_tables(struct bt *bt)
{
    for (unsigned user = 0; user < 2; user++) {
        for (unsigned i = 0; i < L2_SIZE; i++) {
            const struct lookup_entry *l = &bt->wd->l2[user][i];
            const struct tu *t = tu_at(bt, l->tca);

            if (l->tca == bt->l2_stub[user])
                ASSERT(l2_index(l->eip) != i); /* no EIP may find it */
            else
                ASSERT(t && t->live && t->tca == l->tca && t->eip == l->eip && mode_user(t->mode) == user &&
                       l2_index(l->eip) == i);
        }
        for (unsigned i = 0; i < L1_SIZE; i++) {
            tca_t pad = bt->wd->l1[user][i];
            const struct tu *t = tu_at(bt, pad);

            ASSERT(pad == bt->l1_miss[user] || (t && t->live && t->pad == pad && (t->pad_eip & 0xff) == i));
        }
    }
}

/* The TU's code is a run of whole instructions, and all that points into it points at their starts. */
static void check_code(struct bt *bt, const struct tu *t)
{
    uint8_t start[2049] = {0};
    struct insn in;

    ASSERT(t->tc_len && t->tc_len < sizeof start && t->ninsns >= 1 && t->ninsns <= TU_MAX_INSNS);
    for (unsigned off = 0; off < t->tc_len; off += in.len) {
        start[off] = 1;
        int len = insn_decode(&in, tc_hva(bt, t->tca + off), t->tc_len - off < 15 ? t->tc_len - off : 15, true);
        ASSERT(len > 0 && off + in.len <= t->tc_len);
    }
    ASSERT(t->nmap >= 1 && t->nmap <= TU_MAP_MAX && t->nexits <= 2 && t->insn_off[t->ninsns] == t->len);
    for (unsigned i = 0; i < t->nmap; i++) {
        const struct map_rec *r = &t->map[i];

        ASSERT(r->off < t->tc_len && start[r->off] && r->kind <= MAP_STUB && r->insn <= t->ninsns);
        ASSERT(!i || r[-1].off <= r->off);
        ASSERT(r->kind != MAP_EXIT_DIRECT || r->arg < t->nexits);
        ASSERT((r->kind != MAP_INSN && r->kind != MAP_BODY) || r->insn < t->ninsns);
    }
    ASSERT(!t->pad || (t->pad - t->tca < t->tc_len && start[t->pad - t->tca]));
    for (unsigned x = 0; x < t->nexits; x++)
        ASSERT(start[t->exit[x].stub - t->tca] && (t->exit[x].site + 4 - t->tca == t->tc_len ||
                                                   start[t->exit[x].site + 4 - t->tca]));
}

void fake_bt_consistent(void)
{
    struct bt *bt = fake_bt.vm.bt;
    uint32_t live = 0, hashed = 0;

    for (uint32_t i = 1; i < bt->ntus; i++) {
        struct tu *t = &bt->tu[i];

        ASSERT(i == 1 || t->tca == bt->tu[i - 1].tca + bt->tu[i - 1].tc_len);
        for (tca_t a = t->tca; a < t->tca + t->tc_len; a += 7)
            ASSERT(tu_at(bt, a) == t);
        check_code(bt, t);
        live += t->live;
        if (!t->live)
            continue;
        for (unsigned x = 0; x < t->nexits; x++)
            check_exit(bt, t, x);
        ASSERT(fake_bt.traced[t->gpn[0]] && (t->gpn[1] == NO_GPN || fake_bt.traced[t->gpn[1]]));
    }
    for (uint32_t h = 0; h < HASH_SIZE; h++)
        for (uint32_t i = bt->hash[h]; i; i = bt->tu[i].hash_next) {
            ASSERT(i < bt->ntus && bt->tu[i].live);
            ASSERT(++hashed <= live);
        }
    ASSERT(hashed == live && live == fake_bt.vm.stats->tu_live);
    check_pages(bt);
    check_tables(bt);
}
