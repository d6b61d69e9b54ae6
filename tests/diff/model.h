/*
 * The memory map, the selectors and the descriptor tables that all engines
 * agree on, and the record by which a sequence travels to a guest.
 *
 * World: hosted tests and the replay guest (32-bit, freestanding): no libc,
 * fixed layout.  Units: bytes.
 */
#ifndef TESTS_DIFF_MODEL_H
#define TESTS_DIFF_MODEL_H

#include "base/types.h"

/* The guest's linear memory.  Whatever is not named here is not present. */
#define CODE_BASE 0x10000000u /* read + execute */
#define CODE_SIZE 0x2000u
#define WAY_OUT 0xf4          /* HLT behind the last instruction: #GP at CPL 3 */
#define DATA_BASE 0x20000000u /* read + write */
#define DATA_SIZE 0x10000u
#define RO_BASE (DATA_BASE + DATA_SIZE) /* read only */
#define RO_SIZE 0x1000u
#define STACK_BASE 0x30000000u /* read + write */
#define STACK_SIZE 0x2000u

/* One object, so that it resets and compares with one call. */
struct guest_mem {
    uint8_t code[CODE_SIZE];
    uint8_t data[DATA_SIZE];
    uint8_t ro[RO_SIZE];
    uint8_t stack[STACK_SIZE];
};

/* The first words of the data arena: a table of code addresses for indirect transfers. */
#define TABLE_ENTRIES 16u

/* The host's flat selectors, and an LDT that both the host and the model hold.  ORDER LDT */
#define SEL_CODE0 0x10
#define SEL_DATA0 0x18
#define SEL_CODE32 0x23
#define SEL_DATA 0x2b
#define SEL_CODE64 0x33
#define SEL_TSS 0x40
#define SEL_LDT 0x50
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
    uint16_t unused[6];
    uint8_t fx[512] __attribute__((aligned(16)));
};

#define GROUP_BYTES 64
#define SEQ_GROUPS 12
#define CODE_MAX (SEQ_GROUPS * GROUP_BYTES + 16)

/* What a sequence's memory is made from. */
struct image {
    uint32_t mem_seed, place, code16, code_len;
    uint32_t table[TABLE_ENTRIES];
    uint8_t code[CODE_MAX];
};

enum outcome_kind {
    OUT_END,     /* reached the end */
    OUT_FAULT,   /* vec, err, cr2 */
    OUT_TIMEOUT, /* did not end */
    OUT_SKIP,    /* can't be compared */
};

/* A sequence and what the real CPU made of it.  The file is records only, all of one size. */
#define REPLAY_MAGIC 0x31524442u
struct replay {
    uint32_t magic, fp;
    uint64_t seed;
    struct image img;
    uint32_t kind, vec, err, cr2;
    uint32_t eflags_mask; /* flags that are defined in the end */
    uint32_t mem_hash;    /* everything but the code */
    uint32_t unused[2];
    struct cpu_state init, end;
};

struct system_tables {
    uint8_t gdt[16 * 8], ldt[LDT_COUNT * 8], idt[256 * 8], tss[104];
};

uint64_t rnd64(uint64_t *state);
/* The memory that a sequence starts with, HLT at its end included. */
void image_memory(const struct image *img, struct guest_mem *m);
uint32_t memory_hash(const struct guest_mem *m);
/* Fills the tables, which will lie at linear address `at`; CPL 0's stack ends at `stack_top`. */
void system_tables_make(struct system_tables *t, uint32_t at, uint32_t stack_top,
                        const uint32_t handlers[256]);

/* The guest is 32-bit code, the writer 64-bit: the layout must not depend on that. */
_Static_assert(sizeof(struct cpu_state) == 576 && sizeof(struct replay) == 912 + 2 * 576, "no padding");

#endif
