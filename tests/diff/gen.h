/*
 * The generator's insides, shared by its files: gen.c (sequences), gen_insn.c
 * (instructions), gen_flow.c (near transfers), gen_fp.c (x87 and vectors) and gen_system.c (system-level ones).  World: hosted tests.
 */
#ifndef TESTS_DIFF_GEN_H
#define TESTS_DIFF_GEN_H

#include "base/mem.h"
#include "tests/diff/diff.h"

struct gen {
    uint64_t rng;
    struct group *g;
    bool code32;
    bool osz, asz; /* effective sizes are 32-bit */
    unsigned seg_prefix;
    uint8_t operand[8]; /* ModRM and what follows it */
    unsigned operand_len, base, index;
    unsigned features;
    uint32_t base_of[2]; /* of FS and GS at the start */
};

#define NO_REG 0xff

struct prefixes {
    uint8_t b[18];
    unsigned n;
};

uint32_t rnd(struct gen *q, uint32_t n);
bool chance(struct gen *q, unsigned percent);
uint32_t rnd_value(struct gen *q);
uint32_t rnd_pointer(struct gen *q);
void put(struct gen *q, uint8_t b);
void put_n(struct gen *q, uint32_t x, unsigned n);
void put_mov(struct gen *q, unsigned reg, uint32_t value);
uint32_t good_pointer(struct gen *q);
void choose_operand(struct gen *q, unsigned reg, bool mem);
void operand_n(struct gen *q, uint32_t x, unsigned n);
void put_operand(struct gen *q);
void put_setup(struct gen *q);
void choose_sizes(struct gen *q, struct prefixes *p, bool no66);
void put_prefixes(struct gen *q, const struct prefixes *p);
void prefix_add(struct gen *q, struct prefixes *p, uint8_t b);
void put_string(struct gen *q);
void set_fix(struct gen *q, unsigned size, bool abs, unsigned target);
unsigned rnd_target(struct gen *q, unsigned self, unsigned ngroups);
void put_jump(struct gen *q, unsigned self, unsigned ngroups);
void put_indirect(struct gen *q, unsigned self, unsigned ngroups);
void put_special(struct gen *q);
void put_fp(struct gen *q);
void put_vex(struct gen *q, unsigned map, unsigned pp, bool w, unsigned vvvv, bool l);
void put_extension(struct gen *q);
void put_weighted_form(struct gen *q);
unsigned pick_ext(struct gen *q, unsigned mask);
uint32_t offset_in_segment(struct gen *q);
void put_system(struct gen *q, unsigned self, unsigned ngroups);

#endif
