/*
 * The differential tester's contract: what a sequence is, what comes of
 * running it, and what an engine is.
 *
 * World: hosted tests only.  A sequence is a handful of 32-bit (or 16-bit)
 * user-mode instructions with an initial state; every engine runs it over the
 * same memory map and reports the outcome; the first engine is the reference
 * for the comparison.  Units: bytes.  An engine owns the memory behind
 * outcome.mem until its next run.
 */
#ifndef TESTS_DIFF_DIFF_H
#define TESTS_DIFF_DIFF_H

#include <stdio.h>

#include "base/types.h"
#include "cpu/x86.h"
#include "tests/diff/model.h"

/*
 * A group is the unit of generation and of minimising: set-up moves, the
 * instruction under test, and what makes its undefined flags defined again.
 */
struct group {
    uint8_t bytes[GROUP_BYTES];
    uint8_t len;
    uint8_t main_at, main_len; /* the instruction under test */
    uint32_t undef;            /* flags that it leaves undefined */
    bool undef_memory;         /* so is memory, until the group's end */
    uint8_t fix_at, fix_size;  /* a jump displacement or address to be filled in; size 0: none */
    bool fix_abs;
    uint32_t fix_minus;        /* base of the code segment that the address is for */
    uint8_t target;            /* group index; seq->ngroups means the end */
};

struct seq {
    uint64_t seed;
    unsigned ngroups;
    struct group group[SEQ_GROUPS];
    struct cpu_state init;
    bool fp;      /* compare the FPU state */
    bool code16;  /* 16-bit code segment */
    uint32_t mem_seed;
    uint32_t place;            /* offset of the first byte in the code region */

    /* Filled in by seq_assemble(). */
    uint8_t code[CODE_MAX];
    unsigned code_len;         /* without the HLT */
    uint32_t start[SEQ_GROUPS + 1]; /* linear addresses of the groups and of the end */
};

struct outcome {
    enum outcome_kind kind;
    unsigned vec;
    uint32_t err, cr2;
    bool wrapped; /* interpreter: the instruction it stopped at made an access across 4 GiB */
    struct cpu_state s;
    const struct guest_mem *mem;
};

struct engine {
    const char *name;
    bool (*init)(void); /* false: can't run on this host */
    void (*run)(const struct seq *, struct outcome *);
};

extern const struct engine engine_native, engine_interp;

/* gen.c */
void seq_generate(struct seq *s, uint64_t seed, unsigned features);
void seq_assemble(struct seq *s);
void seq_drop(struct seq *s, unsigned group);
void seq_memory(const struct seq *s, struct guest_mem *m);

#define FEAT_FP 1u
#define FEAT_SYSTEM 2u
#define FEAT_CODE16 4u

/* emit.c: a record of what the real CPU did, for the replay guest.  False: not a sequence for it. */
bool replay_write(FILE *f, const struct seq *s, const struct outcome *o);

/* compare.c */
/* The group that an address lies in, or NULL. */
const struct group *seq_group_at(const struct seq *s, uint32_t eip, uint32_t *offset);
/* Behind all prefixes but LOCK, REX and VEX. */
const uint8_t *skip_prefixes(const uint8_t *p);
/* The opcode, behind its prefixes, of the instruction under test that the run faulted at, or NULL. */
const uint8_t *seq_main_opcode(const struct seq *s, const struct outcome *o);
/* The flags that mean nothing where the run ended. */
uint32_t undefined_flags(const struct seq *s, const struct outcome *o);
/* Equal, with no allowance made but for undefined flags; and in all that is defined. */
bool outcome_same(const struct seq *s, const struct outcome *a, const struct outcome *b);
bool outcome_equal(const struct seq *s, const struct outcome *a, const struct outcome *b);

/* undefined.c: the rule by which the outcomes of the real CPU and the interpreter may differ, or -1. */
#define UNDEFINED_RULES 11
int undefined_rule(const struct seq *s, const struct outcome *a, const struct outcome *b);
const char *undefined_rule_name(int rule);

/* report.c */
void report(FILE *f, const struct seq *s, const char *an, const struct outcome *a, const char *bn,
            const struct outcome *b);
void report_main_mnemonic(const struct seq *s, const struct outcome *o, char *buf, size_t size);

#endif
