/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all engines start from: the same random memory, the same descriptors.
 * Linked into difftest and, compiled for 32 bits without a libc, into the
 * replay guest.
 */
#include "tests/diff/model.h"

#include "base/mem.h"

/* ORDER LDT */
const struct ldt_entry ldt_entries[LDT_COUNT] = {
    [LDT_FS] = {.base = DATA_BASE + 0x4000, .limit = 0x7fff, .is32 = true},
    [LDT_GS] = {.base = DATA_BASE + 0x8000, .limit = 0xfff, .is32 = true, .read_only = true},
    [LDT_CODE16] = {.base = CODE_BASE, .limit = CODE_SIZE - 1, .code = true},
    [LDT_STACK16] = {.base = STACK_BASE, .limit = STACK_SIZE - 1},
    [LDT_DOWN32] = {.base = DATA_BASE, .limit = 0x3fff, .is32 = true, .down = true},
    [LDT_ABSENT] = {.base = DATA_BASE, .limit = 0xffff, .is32 = true, .absent = true},
    [LDT_CODE_XO] =
        {.base = CODE_BASE, .limit = CODE_SIZE - 1, .is32 = true, .code = true, .read_only = true},
    [LDT_DOWN16] = {.base = DATA_BASE, .limit = 0x7ff, .down = true},
    [LDT_BIG] = {.base = DATA_BASE + 0x2000, .limit = 0xfffff, .pages = true, .is32 = true},
};

uint64_t rnd64(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull; /* splitmix64 */

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static void make_pristine(struct guest_mem *m)
{
    uint64_t rng = 42;

    for (size_t i = 0; i < sizeof *m; i += 4) {
        uint64_t x = rnd64(&rng);
        uint32_t w = (uint32_t)(x >> 32);
        if ((x & 3) == 0)
            w = DATA_BASE + 0x100 + (w & 0xfff0); /* so that loads make pointers, too */
        else if ((x & 3) == 1)
            w &= 0xff;
        put32((uint8_t *)m + i, w);
    }
    memset(m->code, 0xcc, sizeof m->code);
}

void image_memory(const struct image *img, struct guest_mem *m)
{
    static struct guest_mem pristine;
    static bool made;
    uint64_t rng = img->mem_seed;

    if (!made)
        make_pristine(&pristine);
    made = true;
    memcpy(m, &pristine, sizeof *m);
    for (unsigned i = 0; i < 64; i++) {
        uint64_t x = rnd64(&rng);
        put32(m->data + ((uint32_t)x & (DATA_SIZE - 4)), (uint32_t)(x >> 32));
    }
    for (unsigned i = 0; i < TABLE_ENTRIES; i++)
        put32(m->data + 4 * i, img->table[i]);
    for (unsigned i = 0; i <= img->code_len && img->place + i < CODE_SIZE; i++)
        m->code[img->place + i] = i < img->code_len ? img->code[i] : WAY_OUT;
}

uint32_t memory_hash(const struct guest_mem *m)
{
    uint32_t h = 2166136261u;

    for (size_t i = offsetof(struct guest_mem, data); i < sizeof *m; i += 4) {
        h = (h ^ get32((const uint8_t *)m + i)) * 16777619u;
        h ^= h >> 15;
    }
    return h;
}

static void put_desc(uint8_t *at, uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
    put32(at, (limit & 0xffff) | base << 16);
    put32(at + 4, (base >> 16 & 0xff) | access << 8 | (limit & 0xf0000) | flags << 20 | (base & 0xff000000));
}

static void make_ldt(struct system_tables *t)
{
    for (unsigned i = 0; i < LDT_COUNT; i++) {
        const struct ldt_entry *d = &ldt_entries[i];
        unsigned type = (d->code ? 8 : d->down ? 4 : 0) | (d->read_only ? 0 : 2) | 1;
        put_desc(t->ldt + 8 * i, d->base, d->limit, (d->absent ? 0x70 : 0xf0) | type,
                 (d->is32 ? 4 : 0) | (d->pages ? 8 : 0));
    }
}

void system_tables_make(struct system_tables *t, uint32_t at, uint32_t stack_top,
                        const uint32_t handlers[256])
{
    memset(t, 0, sizeof *t);
    put_desc(t->gdt + SEL_CODE0, 0, 0xfffff, 0x9b, 0xc);
    put_desc(t->gdt + SEL_DATA0, 0, 0xfffff, 0x93, 0xc);
    put_desc(t->gdt + (SEL_CODE32 & ~7), 0, 0xfffff, 0xfb, 0xc);
    put_desc(t->gdt + (SEL_DATA & ~7), 0, 0xfffff, 0xf3, 0xc);
    put_desc(t->gdt + (SEL_CODE64 & ~7), 0, 0xfffff, 0xfb, 0xa);
    put_desc(t->gdt + SEL_TSS, at + offsetof(struct system_tables, tss), 103, 0x89, 0);
    put_desc(t->gdt + SEL_LDT, at + offsetof(struct system_tables, ldt), sizeof t->ldt - 1, 0x82, 0);
    make_ldt(t);
    for (unsigned i = 0; i < 256; i++) { /* INT3 and INTO are for CPL 3 */
        put32(t->idt + 8 * i, (handlers[i] & 0xffff) | SEL_CODE0 << 16);
        put32(t->idt + 8 * i + 4, (handlers[i] & 0xffff0000) | (i == 3 || i == 4 ? 0xee00 : 0x8e00));
    }
    put32(t->tss + 4, stack_top);
    put16(t->tss + 8, SEL_DATA0);
    put16(t->tss + 102, 104); /* no I/O bitmap */
}
