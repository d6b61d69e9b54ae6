/*
 * Truncation: what a host descriptor must say to stand for a guest segment without reaching the monitor.
 *
 * World: monitor, every world.  Units: bytes of linear space; the limit is a descriptor's 20-bit field.
 * Pure functions; no errors but "no descriptor can stand for it".
 */
#ifndef WORLD_TRUNCATE_H
#define WORLD_TRUNCATE_H

#include "cpu/vcpu.h"

/* truncated.flags.  Zero means no descriptor. */
#define TRUNC_VALID BIT(0)
#define TRUNC_BIG BIT(1)
#define TRUNC_RDONLY BIT(2)
#define TRUNC_DOWN BIT(3)
#define TRUNC_PAGES BIT(4)
#define TRUNC_CODE BIT(5)

struct truncated {
    uint32_t base;
    uint32_t limit; /* the descriptor's 20-bit field */
    uint32_t flags;
};

/*
 * The descriptor that stands for s in a data segment register, admitting no offset that reaches linear `end` or
 * above; false: none does.  few_limits: the base is set apart from the descriptor, so round limits, that many
 * segments may share one.
 */
bool seg_truncate(const struct seg *s, gla_t end, bool is_ss, bool few_limits, struct truncated *t);

#endif
