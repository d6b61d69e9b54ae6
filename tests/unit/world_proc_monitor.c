/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process world's kernel view with hand-made code in the translation cache.
 *
 * Each test forks a whole world whose monitor_main() is the one below: it runs the scenario that
 * config.cpu_model names and reports through the cross page.  It is monitor code (freestanding rules apply:
 * no libc, no vector registers), so this file is compiled with the monitor's flags and the Criterion half is
 * world_proc.c.
 */

#include "tests/unit/world_proc_monitor.h"

#include "base/assert.h"
#include "base/fmt.h"

int vcpu_dump(const struct vcpu *v, char *buf, size_t size) { return fmt(buf, size, "eax %#x\n", v->gpr[0]); }

/* Code goes to the start of the TC; a callout with `arg` ends it. */
struct code {
    struct vm *vm;
    uint8_t *p;
};

static struct code code_at(struct vm *vm, uint32_t off) { return (struct code){ vm, world_tc_rw(vm) + off }; }

static void put(struct code *c, const char *bytes, unsigned n)
{
    memcpy(c->p, bytes, n);
    c->p += n;
}
#define PUT(c, bytes) put(c, bytes, sizeof(bytes) - 1)

static void put_imm(struct code *c, const char *op, unsigned n, uint32_t imm)
{
    put(c, op, n);
    put32(c->p, imm);
    c->p += 4;
}
#define PUT_IMM(c, op, imm) put_imm(c, op, sizeof(op) - 1, imm)

static void put_callout(struct code *c, uint32_t arg)
{
    PUT(c, "\x65\xc7\x05\0\0\0\0"); /* movl $arg, %gs:0 */
    put32(c->p, arg);
    c->p += 4;
    c->p += world_callout_seq(c->vm, c->p);
}

static struct seg flat(uint16_t extra)
{
    struct seg s = seg_flat_data();

    s.attr |= extra;
    return s;
}

static void segs_flat(struct vcpu *v)
{
    for (unsigned i = 0; i < SEG_COUNT; i++)
        v->seg[i] = flat(0);
    v->hsel_dirty = 0xff;
}

static void run_callout(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;
    struct code c = code_at(vm, 0);

    put_callout(&c, 0x12345678);
    REGS_SET(v);
    for (unsigned i = 0; i < 3; i++) {
        world_enter(v, WIN_TC);
        CHECK(v->exit.kind == EXIT_CALLOUT && get32(world_win_data(vm)) == 0x12345678);
        CHECK(regs_are(v));
    }
    v->attention = 1;
    world_enter(v, WIN_TC);
    CHECK(v->exit.kind == EXIT_NONE && regs_are(v));
    v->attention = 0;
    world_enter(v, WIN_TC);
    CHECK(v->exit.kind == EXIT_CALLOUT);
}

/* One instruction at TC+64 that must fault with exactly this. */
static bool faults(struct vm *vm, const char *bytes, unsigned n, unsigned vec, uint32_t err, uint32_t cr2)
{
    struct vcpu *v = vm->vcpu;
    struct code c = code_at(vm, 64);

    put(&c, bytes, n);
    put_callout(&c, 1);
    REGS_SET(v);
    world_enter(v, WIN_TC + 64);
    return v->exit.kind == EXIT_FAULT && v->exit.tca == WIN_TC + 64 && v->exit.vec == vec &&
           v->exit.err == err && (vec != VEC_PF || v->exit.cr2 == cr2) && regs_are(v);
}
#define FAULTS(bytes, vec, err, cr2) faults(vm, bytes, sizeof(bytes) - 1, vec, err, cr2)

static void run_faults(struct vm *vm)
{
    CHECK(FAULTS("\x8b\x05\x00\x00\x34\x12", VEC_PF, PFERR_U, 0x12340000));           /* load */
    CHECK(FAULTS("\x89\x05\x04\x00\x34\x12", VEC_PF, PFERR_U | PFERR_W, 0x12340004)); /* store */
    CHECK(FAULTS("\xcc", VEC_BP, 0, 0));
    CHECK(FAULTS("\x0f\x0b", VEC_UD, 0, 0));
    CHECK(FAULTS("\xf4", VEC_GP, 0, 0));
    CHECK(FAULTS("\x31\xc9\xf7\xf1", VEC_GP, 0, 0) == false); /* the helper can fail */
    CHECK(vm->vcpu->exit.vec == VEC_DE && vm->vcpu->exit.tca == WIN_TC + 66);
    CHECK(FAULTS("\xcd\x77", VEC_GP, 0x77 * 8 + 2, 0));
    CHECK(FAULTS("\x8e\xd8", VEC_GP, 0x1110, 0));                                 /* mov ax, ds */
    CHECK(FAULTS("\xce", VEC_OF, 0, 0) == false && vm->vcpu->exit.vec == VEC_OF); /* into: EIP behind it */
    CHECK(world_map(vm, 0, 0x12340000, 0x5000, 2, MAP_R));
    /* A page that was never touched is not present for the host either: the P bit says nothing. */
    CHECK(FAULTS("\x89\x05\x04\x00\x34\x12", VEC_PF, PFERR_U | PFERR_W, 0x12340004));
    CHECK(!FAULTS("\x8b\x05\x04\x00\x34\x12", VEC_PF, 0, 0) && vm->vcpu->exit.kind == EXIT_CALLOUT);
    CHECK(FAULTS("\x89\x05\x04\x00\x34\x12", VEC_PF, PFERR_U | PFERR_W | PFERR_P, 0x12340004));
    CHECK(world_protect(vm, 0, 0x12340000, 1, MAP_R | MAP_W));
    CHECK(!FAULTS("\x89\x05\x04\x00\x34\x12", VEC_PF, 0, 0) && vm->vcpu->exit.kind == EXIT_CALLOUT);
    CHECK(get32(vm->ram + 0x5004) == 0x11111111);
    CHECK(world_unmap(vm, 0, 0x12340000, 2));
    CHECK(FAULTS("\x89\x05\x04\x00\x34\x12", VEC_PF, PFERR_U | PFERR_W, 0x12340004));
}

#define AHEAD 0x30000000u

static void store(struct vm *vm, unsigned n)
{
    struct vcpu *v = vm->vcpu;
    struct code c = code_at(vm, 64);

    put_imm(&c, "\xa3", 1, AHEAD + n * PAGE_SIZE); /* mov %eax, moffs32 */
    put_callout(&c, 1);
    REGS_SET(v);
    world_enter(v, WIN_TC + 64);
}

static bool stores(struct vm *vm, unsigned n)
{
    store(vm, n);
    return vm->vcpu->exit.kind == EXIT_CALLOUT;
}

static bool absent(struct vm *vm, unsigned n)
{
    struct vcpu *v = vm->vcpu;

    store(vm, n);
    return v->exit.kind == EXIT_FAULT && v->exit.vec == VEC_PF && v->exit.cr2 == AHEAD + n * PAGE_SIZE && regs_are(v);
}

static bool touched(struct vm *vm, unsigned n, gpa_t gpa)
{
    put32(vm->ram + gpa, 0);
    return world_map(vm, 0, AHEAD + n * PAGE_SIZE, gpa, 1, MAP_R | MAP_W | MAP_SOON) && stores(vm, n) &&
           get32(vm->ram + gpa) == 0x11111111;
}

/* Pages that follow on from each other: each is there once it is mapped and no sooner, whatever is mapped ahead. */
static void run_ahead(struct vm *vm)
{
    for (unsigned i = 0; i < 100; i++) {
        CHECK(touched(vm, i, 0x10000 + i * PAGE_SIZE));
        CHECK(absent(vm, i + 1) && absent(vm, i + 2) && absent(vm, i + 40));
    }
    CHECK(world_unmap(vm, 0, AHEAD + 99 * PAGE_SIZE, 1));
    CHECK(absent(vm, 99) && absent(vm, 100) && stores(vm, 98));
    CHECK(touched(vm, 100, 0x10000 + 100 * PAGE_SIZE)); /* the next one all the same */
    /* What was expected does not come, or with other rights, or is mapped by a run. */
    CHECK(touched(vm, 101, 0x8000) && absent(vm, 102));
    CHECK(touched(vm, 102, 0x9000) && touched(vm, 103, 0xa000) && absent(vm, 104));
    CHECK(world_map(vm, 0, AHEAD + 104 * PAGE_SIZE, 0xb000, 1, MAP_R | MAP_SOON) && absent(vm, 104));
    CHECK(touched(vm, 105, 0xc000) && touched(vm, 106, 0xd000) && touched(vm, 107, 0xe000));
    CHECK(world_map(vm, 0, AHEAD + 108 * PAGE_SIZE, 0x20000, 4, MAP_R | MAP_W));
    CHECK(stores(vm, 108) && stores(vm, 111) && absent(vm, 112) && get32(vm->ram + 0x23000) == 0x11111111);
    /* Another page lives where the next ones would go. */
    CHECK(touched(vm, 202, 0x30000) && touched(vm, 200, 0x40000) && touched(vm, 201, 0x41000));
    put32(vm->ram + 0x30000, 0);
    CHECK(stores(vm, 202) && get32(vm->ram + 0x30000) == 0x11111111);
    /* The last pages of RAM. */
    CHECK(touched(vm, 300, vm->ram_size - 3 * PAGE_SIZE) && touched(vm, 301, vm->ram_size - 2 * PAGE_SIZE));
    CHECK(touched(vm, 302, vm->ram_size - PAGE_SIZE) && absent(vm, 303));
    CHECK(world_unmap(vm, 0, AHEAD, 400));
    CHECK(absent(vm, 0) && absent(vm, 202) && absent(vm, 302));
    /* Nothing is left behind: the host allows a process 65,530 mappings. */
    for (unsigned i = 0; i < 66000; i++) {
        gla_t gla = AHEAD + i * 5 * PAGE_SIZE;

        CHECK(world_map(vm, 0, gla, 0x10000, 1, MAP_R | MAP_SOON));
        CHECK(world_map(vm, 0, gla + PAGE_SIZE, 0x11000, 1, MAP_R | MAP_SOON));
        CHECK(world_unmap(vm, 0, gla, 2));
    }
    for (unsigned i = 0; i < 64; i++)
        CHECK(world_map(vm, 0, 0x20000000 + 2 * i * PAGE_SIZE, 0x10000, 1, MAP_R));
}

/* Runs into the alarm for `when`; *then is the time at which attention was asked for. */
static void attention_for(struct vm *vm, uint64_t when, uint64_t *then)
{
    struct vcpu *v = vm->vcpu;

    REGS_SET(v);
    v->attention = 0;
    world_set_alarm(vm, when);
    world_enter(v, WIN_TC);
    *then = world_now(vm);
    CHECK(v->exit.kind == EXIT_ATTENTION || v->exit.kind == EXIT_NONE);
    CHECK(v->attention && regs_are(v));
    CHECK(v->exit.kind == EXIT_NONE || v->exit.tca == WIN_TC);
}

/* The alarms are evenly spaced but for the time that each run takes, so a repeating timer may be early: once for each. */
static void run_attention(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;
    struct code c = code_at(vm, 0);
    uint64_t t0, t1;

    PUT(&c, "\xeb\xfe");
    for (unsigned i = 0; i < 20; i++) {
        t0 = world_now(vm);
        attention_for(vm, t0 + 2000000, &t1);
        if (t1 - t0 < 1990000)
            attention_for(vm, t0 + 2000000, &t1);
        CHECK(t1 - t0 >= 1990000 && t1 - t0 < 500000000);
    }
    v->attention = 0;
    t0 = world_now(vm);
    world_idle(vm, t0 + 5000000);
    t1 = world_now(vm);
    CHECK(vm->cross->host_stop || t1 - t0 >= 4900000);
}

/* Alarms of random length against a loop of entries: the window between test and entry must lose none. */
static void run_storm(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;
    struct code c = code_at(vm, 0);
    uint64_t seed = 1, fired = 0;

    put_callout(&c, 5);
    for (unsigned i = 0; i < 4000; i++) {
        uint64_t until;

        seed = seed * 6364136223846793005ull + 1;
        v->attention = 0;
        until = world_now(vm) + 1000 + (seed >> 33) % 30000;
        world_set_alarm(vm, until);
        while (!v->attention && world_now(vm) < until + 1000000000) {
            REGS_SET(v);
            world_enter(v, WIN_TC);
            CHECK(regs_are(v));
            CHECK(v->exit.kind == EXIT_CALLOUT || v->exit.kind == EXIT_NONE || v->exit.kind == EXIT_ATTENTION);
        }
        CHECK(v->attention);
        fired++;
    }
    CHECK(fired == 4000);
}

static void run_fpu(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;
    struct code c = code_at(vm, 0);

    CHECK(world_map(vm, 0, 0x20000000, 0, 16, MAP_R | MAP_W));
    for (unsigned i = 0; i < 4096; i++)
        vm->ram[i] = (uint8_t)(i * 7 + 3);
    /* Load: xmm0-7 (or ymm), x87 pi, control words; fault in between; store. */
    for (unsigned i = 0; i < 8; i++) {
        uint8_t ld[8] = { 0xc5, 0xfe, 0x6f, (uint8_t)(0x05 | i << 3) }; /* vmovdqu m256, ymm_i */
        put(&c, (char *)ld, 4);
        put32(c.p, 0x20000000 + 32 * i);
        c.p += 4;
    }
    PUT(&c, "\xd9\xeb");                     /* fldpi */
    PUT_IMM(&c, "\x0f\xae\x15", 0x20000800); /* ldmxcsr */
    put32(vm->ram + 0x800, 0x1fa5 & 0xffff);
    PUT_IMM(&c, "\xd9\x2d", 0x20000804); /* fldcw */
    put16(vm->ram + 0x804, 0x0b7f);
    put_callout(&c, 1);
    world_enter(v, WIN_TC);
    CHECK(v->exit.kind == EXIT_CALLOUT);

    for (unsigned round = 0; round < 3; round++) {
        if (round == 1) {
            world_fence_begin(vm);
            world_fence_begin(vm);
            __asm__ volatile("vpxor %%ymm0, %%ymm0, %%ymm0; vpxor %%ymm7, %%ymm7, %%ymm7; fninit"
                             :
                             :
                             : "memory");
            world_fence_end(vm);
            world_fence_end(vm);
        }
        if (round == 2)
            CHECK(FAULTS("\x8b\x05\x00\x00\x34\x12", VEC_PF, PFERR_U, 0x12340000));
        memset(vm->ram + 0x1000, 0, 4096);
        c = code_at(vm, 512);
        for (unsigned i = 0; i < 8; i++) {
            uint8_t st[8] = { 0xc5, 0xfe, 0x7f, (uint8_t)(0x05 | i << 3) };
            put(&c, (char *)st, 4);
            put32(c.p, 0x20001000 + 32 * i);
            c.p += 4;
        }
        PUT_IMM(&c, "\x0f\xae\x1d", 0x20001800); /* stmxcsr */
        PUT_IMM(&c, "\xd9\x3d", 0x20001804);     /* fnstcw */
        PUT_IMM(&c, "\xdd\x15", 0x20001808);     /* fst m64 */
        put_callout(&c, 2);
        world_enter(v, WIN_TC + 512);
        CHECK(v->exit.kind == EXIT_CALLOUT && get32(world_win_data(vm)) == 2);
        CHECK(!memcmp(vm->ram, vm->ram + 0x1000, 256));
        CHECK(get32(vm->ram + 0x1800) == 0x1fa5 && get16(vm->ram + 0x1804) == 0x0b7f);
        CHECK(get64(vm->ram + 0x1808) == 0x400921fb54442d19ull); /* pi, rounded up */
    }
    put32(vm->ram + 0x800, 0x1f80);
}

static void run_segments(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;
    struct code c;

    /* Flat data ends below the window. */
    CHECK(FAULTS("\x8b\x05\x00\x00\xc0\xff", VEC_GP, 0, 0));
    CHECK(FAULTS("\x8b\x05\xfd\xff\xbf\xff", VEC_GP, 0, 0));
    CHECK(FAULTS("\x8b\x05\xfc\xff\xbf\xff", VEC_PF, PFERR_U, 0xffbffffc));
    CHECK(FAULTS("\x36\x8b\x05\x00\x00\xc0\xff", VEC_SS, 0, 0));
    CHECK(FAULTS("\x2e\x8b\x05\x00\x00\xc0\xff", VEC_GP, 0, 0)); /* CS is execute-only */
    /* User limit. */
    v->hsel_dirty = 0xff;
    CHECK(world_seg_sync(v, 0xc0000000, false));
    CHECK(FAULTS("\x8b\x05\x00\x00\x00\xc0", VEC_GP, 0, 0));
    CHECK(FAULTS("\x8b\x05\xfc\xff\xff\xbf", VEC_PF, PFERR_U, 0xbffffffc));
    segs_flat(v);
    /* Read-only data, a small limit, a base. */
    v->seg[SEG_ES] =
        (struct seg){ .attr = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_DB, .base = 0x30000000, .limit = 0x123 };
    CHECK(world_seg_sync(v, WIN_BASE, false));
    CHECK(FAULTS("\x26\x89\x05\x00\x00\x00\x00", VEC_GP, 0, 0));
    CHECK(FAULTS("\x26\x8a\x05\x23\x01\x00\x00", VEC_PF, PFERR_U, 0x30000123));
    CHECK(FAULTS("\x26\x8a\x05\x24\x01\x00\x00", VEC_GP, 0, 0));
    /* Expand-down. */
    v->seg[SEG_ES] = (struct seg){ .attr = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW | SEG_ATTR_EC,
                                   .base = 0x30000000,
                                   .limit = 0x7fff };
    v->hsel_dirty = BIT(SEG_ES);
    CHECK(world_seg_sync(v, WIN_BASE, false));
    CHECK(FAULTS("\x26\x8a\x05\xff\x7f\x00\x00", VEC_GP, 0, 0));
    CHECK(FAULTS("\x26\x8a\x05\x00\x80\x00\x00", VEC_PF, PFERR_U, 0x30008000));
    CHECK(FAULTS("\x26\x8a\x05\x00\x00\x01\x00", VEC_GP, 0, 0));
    v->seg[SEG_ES].attr |= SEG_ATTR_DB; /* would reach 0x2fffffff and all above 0x30008000: the window too */
    v->hsel_dirty = BIT(SEG_ES);
    CHECK(world_seg_sync(v, WIN_BASE, false) && v->hsel[SEG_ES] == 0);
    CHECK(FAULTS("\x26\x8a\x05\x00\x80\x00\x00", VEC_GP, 0, 0));
    /* Code segments as data. */
    v->seg[SEG_ES] = flat(SEG_ATTR_CODE);
    v->hsel_dirty = BIT(SEG_ES);
    CHECK(world_seg_sync(v, WIN_BASE, false));
    CHECK(FAULTS("\x26\x89\x05\x00\x00\x00\x30", VEC_GP, 0, 0));
    CHECK(FAULTS("\x26\x8a\x05\x00\x00\x00\x30", VEC_PF, PFERR_U, 0x30000000));
    /* FS bases: positive, and the wrapped part of a per-CPU segment. */
    v->seg[SEG_FS] = flat(0);
    v->seg[SEG_FS].base = 0x34000000;
    v->hsel_dirty = BIT(SEG_FS);
    CHECK(world_seg_sync(v, WIN_BASE, false));
    CHECK(FAULTS("\x64\x8a\x05\x10\x00\x00\xc1", VEC_PF, PFERR_U, 0xf5000010));
    CHECK(FAULTS("\x64\x8a\x05\x10\x00\x00\xcc", VEC_GP, 0, 0));
    v->seg[SEG_FS].base = 0xff000000;
    v->hsel_dirty = BIT(SEG_FS);
    CHECK(world_seg_sync(v, WIN_BASE, false));
    CHECK(FAULTS("\x64\x8a\x05\x10\x00\x00\xc1", VEC_PF, PFERR_U, 0xc0000010));
    CHECK(FAULTS("\x64\x8a\x05\x00\x00\xc0\x00", VEC_GP, 0, 0));
    /* The same limit with another base must not need a descriptor. */
    uint16_t sel = v->hsel[SEG_FS];
    v->seg[SEG_GS] = flat(0);
    for (unsigned i = 0; i < 4; i++) {
        v->seg[SEG_GS].base = 0xb7000000 + 0x1000 * i;
        v->hsel_dirty = BIT(SEG_GS);
        CHECK(world_seg_sync(v, 0xc0000000, true));
        CHECK(i == 0 || v->hsel[SEG_FS] == sel);
        sel = v->hsel[SEG_FS];
        CHECK(FAULTS("\x64\xa1\x14\x00\x00\x00", VEC_PF, PFERR_U, v->seg[SEG_GS].base + 0x14));
        CHECK(FAULTS("\x64\xa1\x00\x00\x00\x09", VEC_GP, 0, 0)); /* 0xc0000000 and more */
        CHECK(FAULTS("\x64\xa1\xfc\xff\xff\xff", VEC_GP, 0, 0));
    }
    /* A 16-bit stack: PUSH wraps in SP and keeps ESP's upper half. */
    segs_flat(v);
    v->seg[SEG_SS] =
        (struct seg){ .attr = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_RW, .base = 0x20000000, .limit = 0xffff };
    CHECK(world_seg_sync(v, WIN_BASE, false));
    CHECK(world_map(vm, 0, 0x20000000, 0, 16, MAP_R | MAP_W));
    c = code_at(vm, 0);
    PUT(&c, "\x50");
    put_callout(&c, 3);
    REGS_SET(v);
    v->gpr[REG_ESP] = 0xabcd0100;
    world_enter(v, WIN_TC);
    CHECK(v->exit.kind == EXIT_CALLOUT && v->gpr[REG_ESP] == 0xabcd00fc && get32(vm->ram + 0xfc) == 0x11111111);
    /* Execute-only or read-only SS can't be had. */
    v->seg[SEG_SS].attr &= (uint16_t)~SEG_ATTR_RW;
    v->hsel_dirty = BIT(SEG_SS);
    CHECK(!world_seg_sync(v, WIN_BASE, false));
    /* Many descriptors: more than the cache holds, each right when used. */
    segs_flat(v);
    for (uint32_t i = 0; i < 1500; i++) {
        v->seg[SEG_DS] = flat(0);
        v->seg[SEG_DS].limit = 0x1000 + i;
        v->hsel_dirty = i ? BIT(SEG_DS) : 0xff;
        CHECK(world_seg_sync(v, WIN_BASE, false));
        c = code_at(vm, 64);
        PUT_IMM(&c, "\x8a\x05", 0x1001 + i);
        world_enter(v, WIN_TC + 64);
        CHECK(v->exit.kind == EXIT_FAULT && v->exit.vec == VEC_GP);
        put32(world_tc_rw(vm) + 66, 0x1000 + i);
        world_enter(v, WIN_TC + 64);
        CHECK(v->exit.kind == EXIT_FAULT && v->exit.vec == VEC_PF);
    }
}

static void run_clock(struct vm *vm)
{
    uint64_t last = 0, begin = world_now(vm);

    while (world_now(vm) - begin < 300000000) {
        uint64_t t = world_now(vm);
        CHECK(t >= last);
        last = t;
    }
}

static void run_timing(struct vm *vm)
{
    enum { N = 200000, M = 20000 };
    struct vcpu *v = vm->vcpu;
    struct code c = code_at(vm, 0);
    uint64_t t;
    uint32_t *out = (uint32_t *)vm->cross->dump;

    put_callout(&c, 1);
    world_enter(v, WIN_TC);
    t = tsc();
    for (unsigned i = 0; i < N; i++)
        world_enter(v, WIN_TC);
    out[0] = (uint32_t)((tsc() - t) / N);
    CHECK(FAULTS("\x8b\x05\x00\x00\x34\x12", VEC_PF, PFERR_U, 0x12340000));
    t = tsc();
    for (unsigned i = 0; i < M; i++)
        world_enter(v, WIN_TC + 64);
    out[1] = (uint32_t)((tsc() - t) / M);
    t = tsc();
    for (unsigned i = 0; i < N; i++) {
        world_fence_begin(vm);
        world_fence_end(vm);
    }
    out[2] = (uint32_t)((tsc() - t) / N);
    t = tsc();
    for (unsigned i = 0; i < N; i++)
        world_now(vm);
    out[3] = (uint32_t)((tsc() - t) / N);
    t = tsc();
    for (unsigned i = 0; i < M; i++)
        world_set_alarm(vm, 1000000000000ull + i);
    out[4] = (uint32_t)((tsc() - t) / M);
    t = tsc();
    for (unsigned i = 0; i < 2000; i++) {
        v->seg[SEG_DS].base = i << 12;
        v->hsel_dirty = BIT(SEG_DS);
        world_seg_sync(v, WIN_BASE, false);
    }
    out[5] = (uint32_t)((tsc() - t) / 2000);
}

static void run_bug(struct vm *vm) { ASSERT(vm == NULL); }

static void run_overflow(struct vm *vm)
{
    volatile uint8_t big[4096];

    for (unsigned i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)i;
    if (big[7] == 7)
        run_overflow(vm);
    big[0] = big[1];
}

static void run_crash(struct vm *vm)
{
    (void)vm;
    *(volatile uint32_t *)0x1234500000ull = 1;
}

static void run_syscall(struct vm *vm)
{
    long ret;

    (void)vm;
    __asm__ volatile("syscall" : "=a"(ret) : "0"(39) : "rcx", "r11", "memory"); /* getpid */
}

static void run_int80(struct vm *vm)
{
    struct code c = code_at(vm, 0);

    PUT(&c, "\xcd\x80");
    world_enter(vm->vcpu, WIN_TC);
}

static void run_reset(struct vm *vm)
{
    vm->ram[0] = 1;
    world_usercall(vm, USERCALL_RESET, 0);
    CHECK(vm->ram[0] == 99);
}

static const struct scenario {
    const char *name;
    void (*run)(struct vm *vm);
} scenarios[] = {
    { "callout", run_callout },
    { "faults", run_faults },
    { "ahead", run_ahead },
    { "attention", run_attention },
    { "storm", run_storm },
    { "fpu", run_fpu },
    { "segments", run_segments },
    { "clock", run_clock },
    { "timing", run_timing },
    { "bug", run_bug },
    { "crash", run_crash },
    { "overflow", run_overflow },
    { "syscall", run_syscall },
    { "int80", run_int80 },
    { "reset", run_reset },
    { "direct", run_direct },
    { "directseg", run_direct_segments },
    { "directatt", run_direct_attention },
    { "directstorm", run_direct_storm },
    { "directfpu", run_direct_fpu },
    { "directkill", run_direct_kill },
    { "directkeys", run_direct_keys },
    { "directtime", run_direct_timing },
    { "escfault", run_escape_fault },
    { "escgetpid", run_escape_getpid },
    { "escmmap", run_escape_mmap },
    { "escspin", run_escape_spin },
    { "escmprotect", run_escape_mprotect },
    { "escint80", run_escape_int80 },
    { "escdeaf", run_escape_deaf },
    { "escdeafback", run_escape_deaf_back },
    { "host2b", run_host_selector_2b },
    { "host33", run_host_selector_33 },
    { "esctouch", run_escape_touch },
};

void monitor_main(struct vm *vm)
{
    const char *want = vm->cross->config.cpu_model;

    segs_flat(vm->vcpu);
    world_seg_sync(vm->vcpu, WIN_BASE, false);
    for (unsigned i = 0; i < ARRAY_SIZE(scenarios); i++) {
        if (strlen(want) == strlen(scenarios[i].name) && !memcmp(want, scenarios[i].name, strlen(want))) {
            scenarios[i].run(vm);
            vm_stop(vm, VM_STOP_EXIT, "%s: done", want);
            vm->stop_code = 42;
            return;
        }
    }
    vm_stop(vm, VM_STOP_UNSUPPORTED, "no scenario %s", want);
}
