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

/* The guest's linear memory.  Whatever is not named here is not present. */
#define CODE_BASE 0x10000000u /* read + execute */
#define CODE_SIZE 0x2000u
#define CODE_STUB 16u         /* first bytes of it: the native engine's way out */
#define DATA_BASE 0x20000000u /* read + write */
#define DATA_SIZE 0x10000u
#define RO_BASE (DATA_BASE + DATA_SIZE) /* read only */
#define RO_SIZE 0x1000u
#define STACK_BASE 0x30000000u /* read + write */
#define STACK_SIZE 0x2000u

/* struct guest_mem is one object so that it resets and compares with one call. */
struct guest_mem {
    uint8_t code[CODE_SIZE];
    uint8_t data[DATA_SIZE];
    uint8_t ro[RO_SIZE];
    uint8_t stack[STACK_SIZE];
};

/* The first words of the data arena: a table of code addresses for indirect transfers. */
#define TABLE_ENTRIES 16u

/* Host selectors of flat segments, and an LDT that both the host and the model hold.  ORDER LDT */
#define SEL_CODE32 0x23
#define SEL_DATA 0x2b
#define SEL_CODE64 0x33
#define LDT_SEL(n) ((uint16_t)((n) << 3 | 7))
enum { LDT_FS, LDT_GS, LDT_CODE16, LDT_STACK16, LDT_DOWN32, LDT_ABSENT, LDT_CODE_XO, LDT_DOWN16,
       LDT_BIG, LDT_COUNT };

struct ldt_entry {
    uint32_t base, limit;
    bool is32, code, down, read_only, absent;
    bool pages; /* limit is in pages */
};
extern const struct ldt_entry ldt_entries[LDT_COUNT];

struct cpu_state {
    uint32_t gpr[8];
    uint32_t eip, eflags;
    uint16_t sel[6]; /* ES CS SS DS FS GS */
    uint8_t fx[512] __attribute__((aligned(16)));
};

#define GROUP_BYTES 64
#define SEQ_GROUPS 12

/*
 * A group is the unit of generation and of minimising: set-up moves, the
 * instruction under test, and what makes its undefined flags defined again.
 */
struct group {
    uint8_t bytes[GROUP_BYTES];
    uint8_t len;
    uint8_t main_at, main_len; /* the instruction under test */
    uint32_t undef;            /* flags that it leaves undefined */
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
    bool code16;  /* 16-bit code segment and stack */
    uint32_t mem_seed;
    uint32_t place;            /* offset of the first byte in the code region */

    /* Filled in by seq_assemble(). */
    uint8_t code[SEQ_GROUPS * GROUP_BYTES + 16];
    unsigned code_len;         /* up to the end, without the way out */
    uint32_t start[SEQ_GROUPS + 1]; /* linear addresses of the groups and of the end */
};

enum outcome_kind {
    OUT_END,     /* reached the end */
    OUT_FAULT,   /* vec, err, cr2 */
    OUT_TIMEOUT, /* did not end */
    OUT_SKIP,    /* can't be compared */
};

struct outcome {
    enum outcome_kind kind;
    unsigned vec;
    uint32_t err, cr2;
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
/* The memory that a sequence starts with, way out included. */
void seq_memory(const struct seq *s, struct guest_mem *m);

#define FEAT_FP 1u
#define FEAT_SYSTEM 2u
#define FEAT_CODE16 4u

/* report.c */
bool outcome_equal(const struct seq *s, const struct outcome *a, const struct outcome *b);
void report(FILE *f, const struct seq *s, const char *an, const struct outcome *a, const char *bn,
            const struct outcome *b);
void report_main_mnemonic(const struct seq *s, const struct outcome *o, char *buf, size_t size);

#endif
