// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Looking through a page of user code before it may run directly.
 *
 * What of this a world's direct execution shows, it says itself (world_direct_traits()).
 *
 * In the process world it has the host's descriptor tables under it: a selector that user code reads from a register
 * is ours, not the guest's, and one that it loads by itself may have another meaning or none. LSL and its
 * kin, SGDT, SIDT, SLDT, STR and SMSW look at the host's tables, and where the host can't trap CPUID, that
 * shows the host's processor (SDM vol. 3A 2.8, 5.10; the classic list of what makes this architecture hard to
 * virtualize). SYSENTER and SYSCALL, which the guest's processor does not have, enter the host's kernel: one of
 * them on each vendor's processors, and what that leaves tells neither where it was nor all registers. XSAVE,
 * XRSTOR and XGETBV go by the host's XCR0, and with RDPKRU and WRPKRU they reach protection keys, which the
 * guest's processor does not have either. A page that holds such an instruction is left to the translator,
 * which shows the guest's own values.
 *
 * The bytes of these opcodes occur on most pages as parts of other instructions, so each candidate is looked
 * at from before: instructions are decoded from every one of 15 neighbouring places 64 bytes ahead, and the
 * candidate is real if two of these streams come upon it as an opcode. One of the places must be where an
 * instruction begins, if the bytes there are code, and streams that start inside an instruction soon fall in
 * step with it. Near the page's start every place down to its first byte is tried. Of the pages of Debian's
 * libc and busybox one in 16 is found, where the bare bytes occur on nine of ten; about one in 100 truly
 * holds such an instruction. What remains unseen is an instruction right behind data, or code that jumps into
 * the middle of its own instructions: it sees the host's selectors, and its SYSCALL or SYSENTER ends the VM. What
 * it does to protection keys lasts to the next trap (world/proc/uview.c).
 */
#include "cpu/interp.h"
#include "shadowmmu/mmu_priv.h"

#define INSN_MAX 15u
#define LEAD 64u  /* how far before a candidate decoding begins */
#define QUORUM 2u /* how many of 15 streams make a candidate real */
#define SPAN (LEAD + INSN_MAX + 1)

/* The second byte of a sensitive instruction behind 0F. */
static bool second_sensitive(uint8_t b, unsigned shows)
{
    switch (b) {
    case 0x00: /* SLDT STR VERR VERW */
        return shows & (DIRECT_SHOWS_SELECTORS | DIRECT_SHOWS_TABLES | DIRECT_SHOWS_DESCRIPTORS);
    case 0x01: /* SGDT SIDT SMSW; XGETBV RDPKRU WRPKRU */
        return shows & (DIRECT_SHOWS_TABLES | DIRECT_SHOWS_XSTATE);
    case 0x02: case 0x03: /* LAR; LSL */
        return shows & (DIRECT_SHOWS_SELECTORS | DIRECT_SHOWS_DESCRIPTORS);
    case 0xa0: case 0xa1: case 0xa8: case 0xa9: /* PUSH and POP of FS and GS */
    case 0xb2: case 0xb4: case 0xb5:            /* LSS LFS LGS */
        return shows & DIRECT_SHOWS_SELECTORS;
    case 0x05: case 0x34: /* SYSCALL SYSENTER */
        return shows & DIRECT_SHOWS_SYSCALLS;
    case 0xa2:
        return shows & DIRECT_SHOWS_CPUID;
    case 0xae: case 0xc7: /* XSAVE XRSTOR XSAVEOPT; XSAVEC */
        return shows & DIRECT_SHOWS_XSTATE;
    default:
        return false;
    }
}

/* 0F 00: SLDT, STR; VERR, VERW (LLDT and LTR are not for user code). */
static bool group6_sensitive(const struct insn *in, unsigned shows)
{
    unsigned reg = in->modrm >> 3 & 7;

    if (reg <= 1)
        return shows & (DIRECT_SHOWS_SELECTORS | DIRECT_SHOWS_TABLES);
    return (reg == 4 || reg == 5) && (shows & (DIRECT_SHOWS_SELECTORS | DIRECT_SHOWS_DESCRIPTORS));
}

/* 0F 01: SGDT, SIDT, SMSW; with mod 3 XGETBV, RDPKRU and WRPKRU (the others don't exist for user code). */
static bool group7_sensitive(const struct insn *in, unsigned shows)
{
    unsigned reg = in->modrm >> 3 & 7;

    if ((reg == 4 || (in->mem && reg <= 1)) && (shows & DIRECT_SHOWS_TABLES))
        return true;
    return (in->modrm == 0xd0 || in->modrm == 0xee || in->modrm == 0xef) && (shows & DIRECT_SHOWS_XSTATE);
}

/* The instruction decoded with its opcode at the candidate: is it one of them, or just cut off or undefined? */
static bool insn_sensitive(const struct insn *in, int len, unsigned shows)
{
    unsigned reg = in->modrm >> 3 & 7;

    if (len <= 0)
        return len == 0; /* its rest is on a page that can't be seen: assume the worst */
    if (in->map == 0)    /* MOV from and to segment registers */
        return (in->opcode == 0x8c || in->opcode == 0x8e) && reg <= SEG_GS;
    if (in->map != 1)
        return false;
    switch (in->opcode) {
    case 0x00: return group6_sensitive(in, shows);
    case 0x01: return group7_sensitive(in, shows);
    case 0xae: return in->mem && reg >= 4 && reg <= 6 && !in->pp; /* with a prefix others */
    case 0xc7: return in->mem && reg == 4;
    default: return true;
    }
}

/* Do enough streams of instructions that begin before place i of the page have a sensitive opcode there? */
static bool candidate_real(const uint8_t *page, const uint8_t *next, unsigned i, unsigned shows)
{
    unsigned first = i > LEAD ? i - LEAD : 0, at = i - first;
    unsigned starts = at + 1 < INSN_MAX ? at + 1 : INSN_MAX, need = at >= LEAD / 2 ? QUORUM : 1, hits = 0;
    unsigned avail = (unsigned)min_u64(SPAN, PAGE_SIZE - first);
    uint8_t buf[SPAN + INSN_MAX], streams[SPAN + INSN_MAX] = {0}; /* how many come to each place */
    struct insn in;

    memcpy(buf, page + first, avail);
    if (next && avail < SPAN) {
        memcpy(buf + avail, next, SPAN - avail);
        avail = SPAN;
    }
    memset(streams, 1, starts);
    for (unsigned p = 0; p <= at; p++) {
        int len;

        if (!streams[p])
            continue;
        len = insn_decode(&in, buf + p, avail - p, true);
        if (p + in.prefix_len == at && !in.vex && insn_sensitive(&in, len, shows))
            hits += streams[p];
        if (len > 0)
            streams[p + (unsigned)len] = (uint8_t)(streams[p + (unsigned)len] + streams[p]);
    }
    return hits >= need;
}

bool scan_sensitive(const uint8_t *page, const uint8_t *next, unsigned shows)
{
    const bool segments = shows & DIRECT_SHOWS_SELECTORS;

    if (!shows)
        return false;
    for (unsigned i = 0; i < PAGE_SIZE; i++) {
        uint8_t b = page[i];
        bool last = i == PAGE_SIZE - 1;

        if (likely(b != 0x0f && !(segments && (b & 0xfd) == 0x8c)))
            continue;
        if (b == 0x0f && !(last && !next) && !second_sensitive(last ? *next : page[i + 1], shows))
            continue;
        if (candidate_real(page, next, i, shows))
            return true;
    }
    return false;
}
