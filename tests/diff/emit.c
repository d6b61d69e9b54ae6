/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records for the replay guest (replay.c): the sequence, its initial state and
 * what the real CPU made of it.
 */
#include <string.h>

#include "tests/diff/diff.h"

/*
 * Not done by the translator: a near transfer beyond the limit of a code
 * segment that is smaller than what lies there faults at its target instead of
 * at itself.
 */
static bool leaves_code_segment(const struct outcome *o)
{
    return o->kind == OUT_FAULT && o->vec == VEC_GP && o->err == 0 && o->s.sel[1] == LDT_SEL(LDT_CODE_XO);
}

bool replay_write(FILE *f, const struct seq *s, const struct outcome *o)
{
    static struct replay r;

    if ((o->kind != OUT_END && o->kind != OUT_FAULT) || leaves_code_segment(o))
        return false;
    memset(&r, 0, sizeof r);
    r.magic = REPLAY_MAGIC;
    r.fp = s->fp;
    r.seed = s->seed;
    r.img = (struct image){
        .mem_seed = s->mem_seed, .place = s->place, .code16 = s->code16, .code_len = s->code_len};
    for (unsigned i = 0; i < TABLE_ENTRIES; i++)
        r.img.table[i] = s->start[i <= s->ngroups ? i : s->ngroups];
    memcpy(r.img.code, s->code, sizeof r.img.code);
    r.kind = o->kind;
    r.vec = o->vec;
    r.err = o->err;
    r.cr2 = o->cr2;
    r.eflags_mask = ~undefined_flags(s, o);
    r.mem_hash = memory_hash(o->mem);
    r.init = s->init;
    r.end = o->s;
    return fwrite(&r, sizeof r, 1, f) == 1;
}
