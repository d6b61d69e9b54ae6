/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a guest ended: its code and its stack, read out of its RAM.
 *
 * The VMM has said in cross->end which registers and page tables were in force.
 * The walk here is a reader's only (SDM vol. 3A 4.3, 4.4): it looks at present
 * bits and page sizes, and at nothing that would be a fault to a CPU.
 *
 * A word on the stack is taken for a return address if the bytes before the
 * address that it holds are a CALL.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cpu/x86.h"
#include "host/report.h"

#define CODE_INSNS 8u    /* at EIP */
#define BLOCK_INSNS 4u   /* of each block entered last */
#define STACK_WORDS 64u
#define RETURNS 24u
#define LARGEST_INSN 15u

#define PTE_PRESENT 1u
#define PTE_LARGE 0x80u
#define PAE_ADDR 0xffffff000ull

struct guest {
    const struct cross_end *end;
    const struct guestram *ram;
    const struct symbols *symbols;
    FILE *f;
};

static bool phys_read(const struct guest *g, gpa_t gpa, void *to, size_t n)
{
    if (gpa > g->ram->size || n > g->ram->size - gpa)
        return false;
    memcpy(to, g->ram->base + gpa, n);
    return true;
}

static bool walk_pae(const struct guest *g, gla_t gla, gpa_t *gpa)
{
    uint64_t e = g->end->pdpte[gla >> 30];

    if (!(e & PTE_PRESENT) || !phys_read(g, (e & PAE_ADDR) + bits(gla, 21, 9) * 8, &e, 8) || !(e & PTE_PRESENT))
        return false;
    if (e & PTE_LARGE) {
        *gpa = (e & PAE_ADDR & ~0x1fffffull) | bits(gla, 0, 21);
        return true;
    }
    if (!phys_read(g, (e & PAE_ADDR) + bits(gla, 12, 9) * 8, &e, 8) || !(e & PTE_PRESENT))
        return false;
    *gpa = (e & PAE_ADDR) | page_offset(gla);
    return true;
}

static bool walk_32(const struct guest *g, gla_t gla, gpa_t *gpa)
{
    uint32_t e;

    if (!phys_read(g, gla_page(g->end->cr3) + (gla >> 22) * 4, &e, 4) || !(e & PTE_PRESENT))
        return false;
    if ((e & PTE_LARGE) && (g->end->cr4 & CR4_PSE)) {
        *gpa = (gpa_t)bits(e, 13, 4) << 32 | (e & 0xffc00000u) | bits(gla, 0, 22);
        return true;
    }
    if (!phys_read(g, gla_page(e) + bits(gla, 12, 10) * 4, &e, 4) || !(e & PTE_PRESENT))
        return false;
    *gpa = gla_page(e) | page_offset(gla);
    return true;
}

static bool walk(const struct guest *g, gla_t gla, gpa_t *gpa)
{
    *gpa = gla;
    if (!(g->end->cr0 & CR0_PG))
        return true;
    return g->end->cr4 & CR4_PAE ? walk_pae(g, gla, gpa) : walk_32(g, gla, gpa);
}

/* As many bytes as can be read from gla on. */
static size_t guest_read(const struct guest *g, gla_t gla, uint8_t *to, size_t n)
{
    size_t done = 0;
    gpa_t gpa;

    while (done < n) {
        gla_t at = gla + (gla_t)done;
        size_t part = min_u64(n - done, PAGE_SIZE - page_offset(at));
        if (!walk(g, at, &gpa) || !phys_read(g, gpa, to + done, part))
            break;
        done += part;
    }
    return done;
}

static void list_code(const struct guest *g, uint32_t eip, unsigned insns, const char *prefix)
{
    uint8_t code[LARGEST_INSN * CODE_INSNS];
    size_t n = guest_read(g, g->end->cs_base + eip, code, LARGEST_INSN * insns);

    if (n)
        listing_code(g->f, code, n, eip, g->end->code32 ? 32 : 16, insns, prefix, g->symbols);
    else
        fprintf(g->f, "%s%08x  (not mapped)\n", prefix, eip);
}

static void list_blocks(const struct guest *g)
{
    unsigned n = g->end->nrecent < CROSS_RECENT ? g->end->nrecent : CROSS_RECENT;
    char name[200];

    if (!n)
        return;
    fprintf(g->f, "translated blocks that the monitor entered last, latest first%s:\n",
            g->end->recent_all ? "" : " (what they jumped to by themselves is not seen; -d nochain,noindirect shows all)");
    for (unsigned i = 0; i < n; i++) {
        fprintf(g->f, "  %08x%s\n", g->end->recent[i],
                symbols_text(g->symbols, g->end->recent[i], name, sizeof name));
        list_code(g, g->end->recent[i], BLOCK_INSNS, "      ");
    }
}

/* Does a CALL end right before this address?  Near calls: E8 rel32, or FF /2 with 2 to 7 bytes. */
static bool after_call(const struct guest *g, uint32_t addr)
{
    uint8_t b[7];

    if (guest_read(g, g->end->cs_base + addr - 7, b, sizeof b) != sizeof b)
        return false;
    if (b[2] == 0xe8)
        return true;
    for (unsigned len = 2; len <= 7; len++) {
        const uint8_t *p = b + 7 - len;
        unsigned mod = p[1] >> 6, rm = p[1] & 7, want = 2;

        if (p[0] != 0xff || (p[1] >> 3 & 7) != 2)
            continue;
        if (mod != 3 && rm == 4)
            want += len > 2 && mod == 0 && (p[2] & 7) == 5 ? 5 : 1;
        if (mod == 1)
            want += 1;
        else if (mod == 2 || (mod == 0 && rm == 5))
            want += 4;
        if (want == len)
            return true;
    }
    return false;
}

static void list_stack(const struct guest *g)
{
    uint32_t mask = g->end->stack32 ? 0xffffffffu : 0xffffu, words[STACK_WORDS];
    uint32_t esp = g->end->esp & mask;
    size_t n = guest_read(g, g->end->ss_base + esp, (uint8_t *)words, sizeof words) / 4;
    unsigned shown = 0;
    char name[200];

    fprintf(g->f, "guest stack:%s\n", n ? "" : " not mapped");
    for (size_t i = 0; i < n && i < STACK_WORDS / 2; i++) {
        if (i % 8 == 0)
            fprintf(g->f, "  %08x:", esp + (uint32_t)i * 4);
        fprintf(g->f, " %08x%s", words[i], i % 8 == 7 || i + 1 == n ? "\n" : "");
    }
    for (size_t i = 0; i < n && shown < RETURNS; i++) {
        if (!after_call(g, words[i]))
            continue;
        if (!shown++)
            fprintf(g->f, "what looks like return addresses on it:\n");
        fprintf(g->f, "  %08x: %08x%s\n", esp + (uint32_t)i * 4, words[i],
                symbols_text(g->symbols, words[i], name, sizeof name));
    }
}

void report_guest_end(FILE *f, const struct cross_end *end, const struct guestram *ram, const struct symbols *symbols)
{
    const struct guest g = {end, ram, symbols, f};
    char name[200];

    fprintf(f, "guest code at %08x%s:\n", end->eip, symbols_text(symbols, end->eip, name, sizeof name));
    list_code(&g, end->eip, CODE_INSNS, "  ");
    list_blocks(&g);
    list_stack(&g);
}
