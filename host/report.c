/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters as text and JSON, and code listings.
 */
#include "host/report.h"

#include <capstone/capstone.h>
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

void listing_code(FILE *f, const uint8_t *code, size_t n, uint32_t addr, unsigned bits, const char *prefix)
{
    csh cs;
    uint64_t at = addr;

    if (cs_open(CS_ARCH_X86, bits == 16 ? CS_MODE_16 : CS_MODE_32, &cs) != CS_ERR_OK)
        return;
    cs_option(cs, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
    cs_insn *insn = cs_malloc(cs);
    while (insn && n > 0) {
        if (!cs_disasm_iter(cs, &code, &n, &at, insn)) {
            fprintf(f, "%s%08" PRIx64 "  .byte %#x\n", prefix, at, *code);
            code++, n--, at++;
            continue;
        }
        fprintf(f, "%s%08" PRIx64 "  %s %s\n", prefix, insn->address, insn->mnemonic, insn->op_str);
    }
    if (insn)
        cs_free(insn, 1);
    cs_close(&cs);
}
