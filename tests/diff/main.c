/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * difftest: the same random instructions on every engine.
 *
 *   difftest [--seed N] [--count N] [--engine LIST] [--only SEED] [--features fp,system,code16]
 *            [--max-fail N] [--out DIR] [--emit FILE] [--tap]
 *
 * The first engine named is the reference.  The interpreter, which can't run
 * astray, goes first: a sequence that it does not end in is left out.  A
 * failing sequence is made smaller by dropping groups while it still fails,
 * then printed and written to a file.  One failure is shown per mnemonic.
 * --emit writes the sequences that agree, for the replay guest.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/diff/diff.h"

static const struct engine *const all_engines[] = {&engine_native, &engine_interp};

#define MAX_ENGINES 4
#define MAX_BUCKETS 256

static struct {
    uint64_t seed, count, only;
    bool have_only, tap;
    const struct engine *engine[MAX_ENGINES];
    unsigned nengines, features, max_fail;
    const char *out, *emit;
    FILE *emit_file;
} opt = {.count = 200000, .features = ~0u, .max_fail = 10, .out = "."};

static struct {
    char name[64];
    unsigned hits;
} bucket[MAX_BUCKETS];
static unsigned nbuckets;
static uint64_t counts[4], vec_counts[32], rule_counts[UNDEFINED_RULES];

static bool add_engine(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(all_engines); i++)
        if (strcmp(all_engines[i]->name, name) == 0 && opt.nengines < MAX_ENGINES) {
            opt.engine[opt.nengines++] = all_engines[i];
            return true;
        }
    fprintf(stderr, "difftest: no engine '%s'\n", name);
    return false;
}

static bool parse_engines(char *list)
{
    opt.nengines = 0;
    for (char *p = strtok(list, ","); p; p = strtok(NULL, ","))
        if (!add_engine(p))
            return false;
    return opt.nengines >= 1;
}

static bool parse_features(char *list)
{
    opt.features = 0;
    for (char *p = strtok(list, ","); p; p = strtok(NULL, ",")) {
        if (strcmp(p, "fp") == 0)
            opt.features |= FEAT_FP;
        else if (strcmp(p, "system") == 0)
            opt.features |= FEAT_SYSTEM;
        else if (strcmp(p, "code16") == 0)
            opt.features |= FEAT_CODE16;
        else if (strcmp(p, "none") != 0)
            return false;
    }
    return true;
}

/* Runs all engines; the outcome that differs from the first engine's, or 0.  *rule: that it may, by one in
 * undefined.c; -1: there was no need of one. */
static unsigned run_all(const struct seq *s, struct outcome out[MAX_ENGINES], int *rule)
{
    *rule = -1;
    for (unsigned i = opt.nengines; i--;) { /* the reference last */
        opt.engine[i]->run(s, &out[i]);
        if (out[i].kind == OUT_TIMEOUT || out[i].kind == OUT_SKIP) {
            if (i != 0) {
                out[0].kind = out[i].kind;
                return 0;
            }
        }
    }
    if (out[0].kind == OUT_SKIP)
        return 0;
    for (unsigned i = 1; i < opt.nengines; i++)
        if (!outcome_equal(s, &out[0], &out[i]) && (*rule = undefined_rule(s, &out[0], &out[i])) < 0)
            return i;
    return 0;
}

static void minimise(struct seq *s, struct outcome out[MAX_ENGINES])
{
    int rule;

    for (unsigned i = s->ngroups; i-- && s->ngroups > 1;) {
        struct seq smaller = *s;
        seq_drop(&smaller, i);
        if (run_all(&smaller, out, &rule))
            *s = smaller;
    }
}

static unsigned bucket_hit(const char *name)
{
    unsigned i = 0;

    while (i < nbuckets && strcmp(bucket[i].name, name) != 0)
        i++;
    if (i == nbuckets) {
        if (nbuckets == MAX_BUCKETS)
            return 2;
        snprintf(bucket[nbuckets++].name, sizeof bucket[0].name, "%s", name);
    }
    return ++bucket[i].hits;
}

static void show_failure(const struct seq *original, uint64_t seed)
{
    struct seq s = *original;
    struct outcome out[MAX_ENGINES];
    char name[64], path[512];
    int rule;

    minimise(&s, out);
    unsigned bad = run_all(&s, out, &rule);
    if (!bad) {
        fprintf(stderr, "difftest: sequence %#llx failed once only\n", (unsigned long long)seed);
        return;
    }
    report_main_mnemonic(&s, &out[0], name, sizeof name);
    if (bucket_hit(name) > 1 || nbuckets > opt.max_fail)
        return;
    printf("%s%s: ", opt.tap ? "# " : "", name);
    report(stdout, &s, opt.engine[0]->name, &out[0], opt.engine[bad]->name, &out[bad]);
    fflush(stdout);
    snprintf(path, sizeof path, "%s/difftest-%016llx.txt", opt.out, (unsigned long long)seed);
    FILE *f = fopen(path, "w");
    if (!f)
        return;
    report(f, &s, opt.engine[0]->name, &out[0], opt.engine[bad]->name, &out[bad]);
    fclose(f);
}

static bool test_one(uint64_t seed)
{
    static struct seq s;
    struct outcome out[MAX_ENGINES];
    int rule;

    seq_generate(&s, seed, opt.features);
    unsigned bad = run_all(&s, out, &rule);
    if (rule >= 0 && !bad)
        rule_counts[rule]++;
    else
        counts[out[0].kind]++;
    if (rule < 0 && out[0].kind == OUT_FAULT && out[0].vec < 32)
        vec_counts[out[0].vec]++;
    if (opt.emit_file && opt.nengines > 1 && outcome_same(&s, &out[0], &out[1]))
        replay_write(opt.emit_file, &s, &out[0]);
    if (opt.have_only)
        report(stdout, &s, opt.engine[0]->name, &out[0], opt.engine[opt.nengines - 1]->name,
               &out[opt.nengines - 1]);
    if (!bad)
        return true;
    show_failure(&s, seed);
    return false;
}

static bool parse_options(int argc, char **argv)
{
    static const struct option longs[] = {
        {"seed", 1, NULL, 's'}, {"count", 1, NULL, 'c'},    {"engine", 1, NULL, 'e'},
        {"only", 1, NULL, 'n'}, {"features", 1, NULL, 'f'}, {"max-fail", 1, NULL, 'm'},
        {"out", 1, NULL, 'o'},  {"tap", 0, NULL, 't'},      {"emit", 1, NULL, 'x'},
        {NULL, 0, NULL, 0},
    };
    int c;

    opt.seed = (uint64_t)time(NULL);
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == 's')
            opt.seed = strtoull(optarg, NULL, 0);
        else if (c == 'c')
            opt.count = strtoull(optarg, NULL, 0);
        else if (c == 'e' && !parse_engines(optarg))
            return false;
        else if (c == 'n')
            opt.only = strtoull(optarg, NULL, 0), opt.have_only = true;
        else if (c == 'f' && !parse_features(optarg))
            return false;
        else if (c == 'm')
            opt.max_fail = (unsigned)strtoul(optarg, NULL, 0);
        else if (c == 'o')
            opt.out = optarg;
        else if (c == 'x')
            opt.emit = optarg;
        else if (c == 't')
            opt.tap = true;
        else if (c == '?')
            return false;
    }
    return true;
}

static void summary(uint64_t failures, double seconds)
{
    const char *lead = opt.tap ? "# " : "";
    uint64_t compared = counts[OUT_END] + counts[OUT_FAULT], left_out = counts[OUT_TIMEOUT] + counts[OUT_SKIP];

    for (unsigned i = 0; i < UNDEFINED_RULES; i++)
        left_out += rule_counts[i];
    printf("%sseed %llu: %llu sequences, %llu ended, %llu faulted, %llu left out, %.1f s\n", lead,
           (unsigned long long)opt.seed, (unsigned long long)(compared + left_out),
           (unsigned long long)counts[OUT_END], (unsigned long long)counts[OUT_FAULT],
           (unsigned long long)left_out, seconds);
    printf("%sleft out: endless %llu, host's system call %llu", lead, (unsigned long long)counts[OUT_TIMEOUT],
           (unsigned long long)counts[OUT_SKIP]);
    for (int i = 0; i < UNDEFINED_RULES; i++)
        if (rule_counts[i])
            printf("; %s %llu", undefined_rule_name(i), (unsigned long long)rule_counts[i]);
    printf("\n%sfaults:", lead);
    for (unsigned i = 0; i < 32; i++)
        if (vec_counts[i])
            printf(" %u:%llu", i, (unsigned long long)vec_counts[i]);
    printf("\n");
    if (!failures)
        return;
    printf("%s%llu failures:", lead, (unsigned long long)failures);
    for (unsigned i = 0; i < nbuckets; i++)
        printf(" %s:%u", bucket[i].name, bucket[i].hits);
    printf("\n");
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    uint64_t failures = 0;

    if (!parse_options(argc, argv))
        return 2;
    if (!opt.nengines) {
        add_engine("native");
        add_engine("interp");
    }
    if (opt.tap)
        printf("1..1\n");
    for (unsigned i = 0; i < opt.nengines; i++)
        if (!opt.engine[i]->init()) {
            printf("%s engine %s can't run on this host\n",
                   opt.tap ? "ok 1 # SKIP" : "difftest:", opt.engine[i]->name);
            return opt.tap ? 0 : 77;
        }
    if (opt.emit && !(opt.emit_file = fopen(opt.emit, "wb"))) {
        perror(opt.emit);
        return 2;
    }
    double start = now();
    if (opt.have_only)
        failures = !test_one(opt.only);
    else
        for (uint64_t i = 0; i < opt.count; i++)
            failures += !test_one(opt.seed * 0x9e3779b97f4a7c15ull + i * 0xd1342543de82ef95ull);
    if (opt.emit_file && fclose(opt.emit_file) != 0) {
        perror(opt.emit);
        return 2;
    }
    summary(failures, now() - start);
    if (opt.tap)
        printf("%s 1 - engines agree\n", failures ? "not ok" : "ok");
    return failures ? 1 : 0;
}
