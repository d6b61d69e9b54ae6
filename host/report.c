/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters as text (where the time went, why translated code was left, and the rest in groups) and as flat JSON.
 */
#include "host/report.h"

#include <inttypes.h>
#include <string.h>

#include "config.h"

const char *report_stop_name(enum vm_stop_kind kind)
{
    switch (kind) {
    case VM_RUNNING: return "running";
    case VM_STOP_HALTED: return "halted";
    case VM_STOP_RESET: return "reset";
    case VM_STOP_EXIT: return "exit";
    case VM_STOP_TRIPLE: return "triple fault";
    case VM_STOP_UNSUPPORTED: return "unsupported";
    case VM_STOP_BUG: return "bug";
    case VM_STOP_HOST: return "host";
    case VM_STOP_DIVERGED: return "diverged";
    }
    return "unknown";
}

struct stat_row {
    const char *name, *help;
    size_t offset;
};

static const struct stat_row rows[] = {
#define STAT(name, text) {#name, text, offsetof(struct stats, name)},
#include "base/stats.def"
#undef STAT
};

/* Counters from this one on, up to the next heading's. */
static const struct {
    const char *heading;
    size_t first;
} groups[] = {
    {"running the guest", offsetof(struct stats, world_enters)},
    {"translation", offsetof(struct stats, tu_translated)},
    {"self-modifying and directly executed code", offsetof(struct stats, smc_invalidations)},
    {"shadow page tables", offsetof(struct stats, hidden_faults)},
    {"interrupts and exceptions", offsetof(struct stats, interrupts)},
    {"devices and the host", offsetof(struct stats, port_in)},
};

#define REASONS_FIRST offsetof(struct stats, exits_chain)
#define CYCLES_FIRST offsetof(struct stats, cycles_total)

static uint64_t value(const struct stats *s, size_t offset)
{
    uint64_t x;

    memcpy(&x, (const char *)s + offset, sizeof x);
    return x;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_time(FILE *f, const struct stats *s, uint64_t tsc_hz)
{
    fprintf(f, "time%*s%%%18s\n", 35, "", "cycles");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t x = value(s, rows[i].offset);
        if (rows[i].offset < CYCLES_FIRST)
            continue;
        /* A difference of counters that are read while they move may come out below 0. */
        if (x > s->cycles_total)
            x = 0;
        const char *what = strncmp(rows[i].help, "cycles ", 7) ? rows[i].help : rows[i].help + 7;
        fprintf(f, "  %-30s %6.1f %17" PRIu64 "  %s\n", what, percent(x, s->cycles_total), x, rows[i].name);
    }
    if (tsc_hz)
        fprintf(f, "  %.3f s at %.0f MHz\n", (double)s->cycles_total / (double)tsc_hz, (double)tsc_hz / 1e6);
}

/* Pairs of counters: how many, and the cycles that they took. */
static void print_reasons(FILE *f, const struct stats *s)
{
    fprintf(f, "exits from translated code%23s%18s%10s%8s\n", "count", "monitor cycles", "average", "time %");
    for (size_t i = 0; i + 1 < ARRAY_SIZE(rows); i++) {
        uint64_t n = value(s, rows[i].offset), cycles;
        if (rows[i].offset < REASONS_FIRST || rows[i].offset >= CYCLES_FIRST)
            continue;
        cycles = value(s, rows[++i].offset);
        fprintf(f, "  %-36s %10" PRIu64 " %17" PRIu64 " %9.0f %7.1f  %s\n", rows[i - 1].help, n, cycles,
                n ? (double)cycles / (double)n : 0, percent(cycles, s->cycles_total), rows[i - 1].name);
    }
}

static void print_counters(FILE *f, const struct stats *s)
{
    size_t g = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rows) && rows[i].offset < REASONS_FIRST; i++) {
        if (g < ARRAY_SIZE(groups) && rows[i].offset == groups[g].first)
            fprintf(f, "%s\n", groups[g++].heading);
        fprintf(f, "  %-56s %14" PRIu64 "  %s\n", rows[i].help, value(s, rows[i].offset), rows[i].name);
    }
}

void report_stats_text(FILE *f, const struct stats *s, uint64_t tsc_hz)
{
    /* Without --stats nobody looks at the clock on the way in and out of the guest. */
    bool profiled = s->cycles_bt || s->cycles_direct || !s->world_enters;

    if (profiled) {
        print_time(f, s, tsc_hz);
        print_reasons(f, s);
    } else {
        fprintf(f, "time is not accounted for: run with --stats\n");
    }
    print_counters(f, s);
}

void report_stats_json(FILE *f, const struct stats *s, uint64_t tsc_hz, const char *stop, const char *world)
{
    const char *comma = "";

    fprintf(f, "{\"version\": \"%s\", \"stop\": \"%s\", \"world\": \"%s\", \"tsc_hz\": %" PRIu64 ", \"stats\": {",
            PACKAGE_VERSION, stop, world, tsc_hz);
#define STAT(name, text)                                                  \
    fprintf(f, "%s\n  \"%s\": %" PRIu64, comma, #name, s->name);          \
    comma = ",";
#include "base/stats.def"
#undef STAT
    fputs("\n}}\n", f);
}
