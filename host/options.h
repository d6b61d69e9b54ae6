/*
 * The command line as a struct, made from options.def.
 *
 * World: VMX.  Units: sizes in bytes.  Ownership: strings point into argv or
 * are constants.  Errors: options_parse() prints one line with a hint to
 * standard error and returns false; the program then ends with status 2.
 */
#ifndef HOST_OPTIONS_H
#define HOST_OPTIONS_H

#include <stdio.h>

#include "base/types.h"
#include "world/cross.h"

#define OPTION_TYPE_FLAG bool
#define OPTION_TYPE_STRING const char *
#define OPTION_TYPE_SIZE uint64_t
#define OPTION_TYPE_CHOICE int
#define OPTION_TYPE_MAYBE int

enum stats_format { STATS_NONE, STATS_TEXT, STATS_JSON }; /* ORDER --stats */
enum cpu_model { CPU_MODEL_AUTO, CPU_MODEL_BTVMM32, CPU_MODEL_HOST }; /* ORDER --cpu */

#define RAM_MIN (16ull << 20)
#define RAM_MAX (3ull << 30)

struct options {
#define OPTION(field, kind, name, alias, arg, def, help) OPTION_TYPE_##kind field;
#include "host/options.def"
#undef OPTION
    const char *image;      /* positional or -kernel */
    struct bt_options bt;   /* -d and --check */
    uint64_t trace_mask;    /* --trace */
};

bool options_parse(struct options *o, int argc, char **argv);
void options_help(FILE *f);

/* "256M" -> bytes; false on junk or overflow. */
bool options_size(const char *text, uint64_t *bytes);

/* Trace events by comma separated names, groups and wildcards; "-name" takes one away again. */
bool options_trace_mask(const char *list, uint64_t *mask);

#endif
