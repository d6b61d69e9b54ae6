/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random bytes as guest code, in random modes, under random switches.
 *
 *   fuzz_translate [-t SECONDS] [-n CASES] [-s SEED] [-c CASE [-v]]
 *
 * Each case is run twice: by the interpreter, and translated on the emulated
 * CPU of tests/fake/world_bt.c, with attentions and hidden faults thrown in.  If the
 * interpreter comes to an end (every exception leads to a HLT), the translated
 * run must end in the same state.  In any case no assertion may fail, no byte
 * outside the translations may change, and all of the translator's lists must agree.
 * A case depends on seed and number only: -c runs one again, -v shows each interpreted instruction and
 * the state at each entry to translations.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cpu/interp.h"
#include "tests/fake/world_bt.h"
#include "tests/fuzz/translate_cases.h"

#define MAX_STEPS 250u
#define GUARD 0xdb
#define V (&fake_bt.vcpu)

static bool verbose;
static struct {
    unsigned long cases, ended, stopped, endless, translated, enters;
} count;

/* -------------------------------------------------------------- the two runs */

struct end {
    struct vcpu v;
    unsigned stop;
    gla_t user_limit;
    uint8_t ram[FAKE_BT_RAM];
};
static struct end start, want;

static void save(struct end *e)
{
    e->v = *V;
    e->stop = fake_bt.vm.stop;
    e->user_limit = fake_bt.user_limit;
    memcpy(e->ram, fake_bt.vm.ram, FAKE_BT_RAM);
}

static void restore(const struct end *e)
{
    *V = e->v;
    fake_bt.vm.stop = e->stop;
    fake_bt.user_limit = e->user_limit;
    memcpy(fake_bt.vm.ram, e->ram, FAKE_BT_RAM);
    V->hsel_dirty = 0x3f;
}

static bool over(void) { return V->halted || fake_bt.vm.stop; }

static void trace(const char *who)
{
    uint32_t at = V->seg[SEG_CS].base + V->eip;

    printf("# %s %08x:", who, V->eip);
    for (unsigned i = 0; i < 8; i++)
        printf(" %02x", fake_bt.vm.ram[(at + i) & (FAKE_BT_RAM - 1)]);
    printf(" cpl %u efl %08x a %x c %x d %x b %x sp %x bp %x si %x di %x\n", V->cpl, V->eflags, V->gpr[0], V->gpr[1],
           V->gpr[2], V->gpr[3], V->gpr[4], V->gpr[5], V->gpr[6], V->gpr[7]);
}

/* An access through GS may have been refused because it wraps at 4 GiB, which CPUs are free to allow (SDM vol. 3A 5.3). */
static bool gs_wrapped(uint32_t linear)
{
    for (unsigned i = 0; i < 4 && V->eip == FAKE_BT_HANDLERS + 16 * VEC_GP; i++)
        if (fake_bt.vm.ram[(linear + i) & (FAKE_BT_RAM - 1)] == 0x65)
            return true;
    return false;
}

/*
 * True: it came to an end that can be compared.  A REP that goes on for longer than the interpreter's slice may
 * overwrite itself, and then it matters where it was interrupted.
 */
static bool run_interpreted(void)
{
    for (unsigned i = 0; i < MAX_STEPS && !over(); i++) {
        uint32_t eip = V->eip, ecx = V->gpr[REG_ECX], linear = V->seg[SEG_CS].base + eip;
        bool wraps = V->cpl == 3 && V->seg[SEG_GS].limit == 0xffffffff;

        if (verbose)
            trace("interpreted");
        interp_run_one(V);
        if (wraps && gs_wrapped(linear))
            return false;
        if (V->eip == eip && ecx - V->gpr[REG_ECX] >= INTERP_REP_MAX)
            return false;
    }
    return over();
}

static void run_translated(bool storm, unsigned max)
{
    for (unsigned i = 0; i < max && !over(); i++) {
        if (storm && draw(3) == 0)
            memset(fake_bt.hidden, 1, sizeof fake_bt.hidden);
        fake_bt.attention_in = storm ? 1 + draw(80) : 4000;
        V->attention = 0;
        if (verbose)
            trace("translated ");
        if (bt_can_run(V))
            bt_run(V);
        else
            interp_run_one(V);
    }
    fake_bt.attention_in = 0;
}

static bool differs(const char **what)
{
    const struct vcpu *w = &want.v;

    *what = "registers";
    if (memcmp(V->gpr, w->gpr, sizeof V->gpr))
        return true;
    *what = "eip";
    if (V->eip != w->eip)
        return true;
    *what = "eflags";
    if (V->eflags != w->eflags)
        return true;
    *what = "system state";
    if (V->cpl != w->cpl || V->cr0 != w->cr0 || V->cr2 != w->cr2 || V->cr3 != w->cr3 || V->cr4 != w->cr4 ||
        memcmp(V->dr, w->dr, sizeof V->dr) || memcmp(V->seg, w->seg, sizeof V->seg) || V->halted != w->halted ||
        fake_bt.vm.stop != want.stop)
        return true;
    *what = "memory";
    return memcmp(fake_bt.vm.ram, want.ram, FAKE_BT_RAM) != 0;
}

static void show(const char *what, unsigned long n, uint64_t seed)
{
    static const char *const reg[8] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
    const uint8_t *code = start.ram + ((start.v.seg[SEG_CS].base + start.v.eip) & (FAKE_BT_RAM - 1));

    printf("# case %lu of seed %llu: %s differ (stop %s)\n# code at %#x:", n, (unsigned long long)seed, what,
           fake_bt.vm.stop_msg, start.v.eip);
    for (unsigned i = 0; i < 48; i++)
        printf(" %02x", code[i]);
    printf("\n#      start      interpreted translated\n");
    for (unsigned i = 0; i < 8; i++)
        printf("# %s %08x %08x %08x\n", reg[i], start.v.gpr[i], want.v.gpr[i], V->gpr[i]);
    printf("# eip %08x %08x %08x\n# efl %08x %08x %08x\n# cr0 %08x %08x %08x\n# cr2 %08x %08x %08x\n", start.v.eip,
           want.v.eip, V->eip, start.v.eflags, want.v.eflags, V->eflags, start.v.cr0, want.v.cr0, V->cr0,
           start.v.cr2, want.v.cr2, V->cr2);
    for (unsigned i = 0, shown = 0; i < FAKE_BT_RAM && shown < 8; i++)
        if (fake_bt.vm.ram[i] != want.ram[i]) {
            printf("# [%#x] %02x %02x %02x\n", i, start.ram[i], want.ram[i], fake_bt.vm.ram[i]);
            shown++;
        }
}

/* Switches stay for a batch of cases: a new translator costs more than many cases. */
#define BATCH 64u

static void new_batch(uint64_t seed, unsigned long n)
{
    struct bt_options o = {0};

    case_seed(seed ^ (n / BATCH + 1) * 0x9e3779b97f4a7c15ull);
    o.tu_insns = draw(3) ? 0 : 1 + draw(12);
    o.tc_bytes = draw(3) ? 0 : 16384 + draw(16384);
    o.no_chain = draw(6) == 0;
    o.no_return_cache = draw(6) == 0;
    o.no_indirect = draw(6) == 0;
    o.no_inline_if = draw(6) == 0;
    o.no_inline_seg = draw(6) == 0;
    o.no_inline_sys = draw(6) == 0;
    o.check = draw(6) == 0;
    fake_bt_new(&o);
    memset(fake_bt.tc + (fake_bt.vm.bt->tc_start - WIN_TC), GUARD, WIN_TC_END - fake_bt.vm.bt->tc_start);
}

/* The bytes behind all translations so far are nobody's.  After a flush in mid-run those may reach to the limit. */
static bool guard_holds(uint32_t *used)
{
    struct bt *bt = fake_bt.vm.bt;
    uint32_t end = fake_bt.vm.stats->tc_flushes ? bt->tc_limit : bt->tc_next;

    if (*used < end - WIN_TC)
        *used = end - WIN_TC;
    for (uint32_t i = *used; i < *used + 65536 && i < FAKE_TC_SIZE; i++)
        if (fake_bt.tc[i] != GUARD)
            return false;
    return true;
}

static bool one(uint64_t seed, unsigned long n)
{
    static uint32_t used;
    const char *what;
    bool ended, storm;

    if (!fake_bt.vm.bt || n % BATCH == 0)
        used = 0, new_batch(seed, n);
    else
        fake_bt_again();
    case_seed(seed * 0x2545f4914f6cdd1dull ^ (n + 1) * 0xd1342543de82ef95ull);
    case_make();
    save(&start);
    ended = run_interpreted();
    save(&want);
    fake_bt_again();
    restore(&start);
    fake_bt.vm.stats->tc_flushes = 0;
    storm = draw(2);
    run_translated(storm, ended ? 20000 : 4);
    fake_bt_consistent();
    count.cases++;
    count.ended += ended;
    count.stopped += ended && want.stop;
    count.endless += !ended;
    count.translated += fake_bt.vm.stats->tu_translated;
    count.enters += fake_bt.vm.stats->world_enters;
    if (!guard_holds(&used)) {
        show("bytes outside the translations", n, seed);
        return false;
    }
    if (fake_bt.vm.stop == VM_STOP_DIVERGED || (ended && differs(&what))) {
        show(fake_bt.vm.stop == VM_STOP_DIVERGED ? "checker and translation" : what, n, seed);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    unsigned long max = ~0ul, only = ~0ul, failed = 0;
    uint64_t seed = 1;
    long seconds = 20;
    int c;

    while ((c = getopt(argc, argv, "t:n:s:c:v")) != -1) {
        if (c == 't')
            seconds = atol(optarg);
        else if (c == 'n')
            max = strtoul(optarg, NULL, 0);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (c == 'c')
            only = strtoul(optarg, NULL, 0);
        else if (c == 'v')
            verbose = true;
        else
            return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..2\n# seed %llu\n", (unsigned long long)seed);
    if (only != ~0ul) {
        new_batch(seed, only);
        return !one(seed, only);
    }
    time_t end = time(NULL) + seconds;
    for (unsigned long n = 0; n < max && failed < 5 && (n % 16 || time(NULL) < end); n++)
        failed += !one(seed, n);
    printf("%s 1 - %lu cases: %lu failed\n", failed ? "not ok" : "ok", count.cases, failed);
    /* A generator whose cases never end, or never get to be translated, tests nothing. */
    bool worth = count.ended > count.cases / 2 && count.translated > 2 * count.cases;
    printf("%s 2 - %lu ended (%lu by a stop), %lu endless; %lu translations, %lu entries\n", worth ? "ok" : "not ok",
           count.ended, count.stopped, count.endless, count.translated, count.enters);
    return failed || !worth;
}
