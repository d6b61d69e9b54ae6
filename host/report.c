/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters as text and JSON.
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

void report_stats_text(FILE *f, const struct stats *s, uint64_t tsc_hz)
{
#define STAT(name, text) fprintf(f, "%16" PRIu64 "  %-18s %s\n", s->name, #name, text);
#include "base/stats.def"
#undef STAT
    if (tsc_hz)
        fprintf(f, "%16" PRIu64 "  %-18s %s\n", tsc_hz, "tsc_hz", "cycles in a second");
}

void report_stats_json(FILE *f, const struct stats *s, uint64_t tsc_hz, const char *stop)
{
    const char *comma = "";

    fprintf(f, "{\"version\": \"%s\", \"stop\": \"%s\", \"tsc_hz\": %" PRIu64 ", \"stats\": {",
            PACKAGE_VERSION, stop, tsc_hz);
#define STAT(name, text)                                                  \
    fprintf(f, "%s\n  \"%s\": %" PRIu64, comma, #name, s->name);          \
    comma = ",";
#include "base/stats.def"
#undef STAT
    fputs("\n}}\n", f);
}
