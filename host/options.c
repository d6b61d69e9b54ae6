/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The option parser: rows come from options.def, features.def and base/trace.def.
 *
 * The style is QEMU's with GNU's double dash allowed everywhere, so both
 * `-m 256M` and `--mem=256M` work.  There are no bundled one-letter options.
 * All complaints are one line, name the nearest word that would have been
 * right, and end the program with status 2.
 */
#include "host/options.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "host/message.h"

enum kind { KIND_FLAG, KIND_STRING, KIND_SIZE, KIND_CHOICE, KIND_MAYBE };

struct row {
    enum kind kind;
    const char *name, *alias, *arg, *def, *help;
    size_t offset;
};

static const struct row rows[] = {
#define OPTION(field, kind, name, alias, arg, def, help) \
    {KIND_##kind, name, alias, arg, def, help, offsetof(struct options, field)},
#include "host/options.def"
#undef OPTION
};

struct feature {
    const char *word;
    bool has_value;
    const char *words; /* that the value is one of; NULL: it is a number */
    uint64_t min, max;
    const char *help;
    size_t offset, width;
};

static const struct feature features[] = {
#define FEATURE_FIELD(field) offsetof(struct bt_options, field), sizeof(((struct bt_options *)0)->field)
#define FEATURE(word, field, help) {#word, false, NULL, 0, 1, help, FEATURE_FIELD(field)},
#define FEATURE_VALUE(word, field, min, max, help) {#word, true, NULL, min, max, help, FEATURE_FIELD(field)},
#define FEATURE_CHOICE(word, field, words, help) {#word, true, words, 0, 0, help, FEATURE_FIELD(field)},
#include "host/features.def"
#undef FEATURE
#undef FEATURE_VALUE
#undef FEATURE_CHOICE
};

static const struct {
    const char *name, *group;
} events[] = {
#define TRACE(name, group, text) {#name, group},
#include "base/trace.def"
#undef TRACE
};

/* Levenshtein's distance; words longer than the table count as far away. */
static unsigned distance(const char *a, const char *b)
{
    size_t m = strlen(a), n = strlen(b);
    unsigned row[64];

    if (n >= ARRAY_SIZE(row))
        return 1000;
    for (size_t j = 0; j <= n; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= m; i++) {
        unsigned corner = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned best = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

struct nearest {
    const char *word, *best;
    unsigned score;
};

static void nearest_try(struct nearest *n, const char *candidate)
{
    unsigned d = *candidate ? distance(n->word, candidate) : 1000;
    size_t len = strlen(n->word);

    /* A word cut short is a good guess too. */
    if (len >= 3 && !strncmp(candidate, n->word, len))
        d = 1;
    if (d < n->score) {
        n->score = d;
        n->best = candidate;
    }
}

/* NULL if nothing is near: more than half of the letters differ. */
static const char *nearest_result(const struct nearest *n)
{
    return n->score <= 3 && n->score * 2 <= strlen(n->word) + 1 ? n->best : NULL;
}

static const char *near_option(const char *word)
{
    struct nearest n = {word, NULL, 1000};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        nearest_try(&n, rows[i].name);
        nearest_try(&n, rows[i].alias);
    }
    return nearest_result(&n);
}

static const char *near_feature(const char *word)
{
    struct nearest n = {word, NULL, 1000};
    for (size_t i = 0; i < ARRAY_SIZE(features); i++)
        nearest_try(&n, features[i].word);
    return nearest_result(&n);
}

static const char *near_event(const char *word)
{
    struct nearest n = {word, NULL, 1000};
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        nearest_try(&n, events[i].name);
        nearest_try(&n, events[i].group);
    }
    return nearest_result(&n);
}

static bool complain(const char *hint, const char *prefix, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool complain(const char *hint, const char *prefix, const char *format, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (hint)
        message("%s; did you mean '%s%s'?", text, prefix, hint);
    else
        message("%s; try 'btvmm --help'", text);
    return false;
}

bool options_size(const char *text, uint64_t *bytes)
{
    char *end;
    unsigned shift = 0;

    if (*text < '0' || *text > '9')
        return false;
    unsigned long long x = strtoull(text, &end, 0);
    if (end == text || x > UINT64_MAX >> 30)
        return false;
    switch (*end) {
    case 'k': case 'K': shift = 10; end++; break;
    case 'm': case 'M': shift = 20; end++; break;
    case 'g': case 'G': shift = 30; end++; break;
    default: break;
    }
    *bytes = (uint64_t)x << shift;
    return *end == '\0';
}

/* Index of `word` in "a|b|c", -1 if it is not there. */
static int choice_index(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (int i = 0;; i++) {
        size_t n = strcspn(list, "|");
        if (n == len && !memcmp(list, word, n))
            return i;
        if (!list[n])
            return -1;
        list += n + 1;
    }
}

static bool set_value(struct options *o, const struct row *r, const char *value)
{
    void *field = (char *)o + r->offset;
    int i;

    switch (r->kind) {
    case KIND_FLAG:
        *(bool *)field = true;
        return true;
    case KIND_STRING:
        *(const char **)field = value;
        return true;
    case KIND_SIZE:
        if (options_size(value, field))
            return true;
        return complain(NULL, "", "-%s: '%s' is not a size", r->name, value);
    case KIND_CHOICE:
        if ((i = choice_index(r->arg, value)) >= 0) {
            *(int *)field = i;
            return true;
        }
        break;
    case KIND_MAYBE:
        if (!value)
            i = 0;
        else
            i = choice_index(r->arg, value);
        if (i >= 0) {
            *(int *)field = i + 1;
            return true;
        }
        break;
    }
    return complain(NULL, "", "--%s: '%s' is not one of %s", r->name, value, r->arg);
}

static void set_defaults(struct options *o)
{
    memset(o, 0, sizeof *o);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (*rows[i].def)
            set_value(o, &rows[i], rows[i].def);
    o->bt.tu_insns = 12;
}

static const struct row *find_row(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct row *r = &rows[i];
        if ((strlen(r->name) == len && !memcmp(r->name, name, len)) ||
            (*r->alias && strlen(r->alias) == len && !memcmp(r->alias, name, len)))
            return r;
    }
    return NULL;
}

/* One word of the command line that starts with '-'; *i moves on when it takes the next word. */
static bool parse_option(struct options *o, int argc, char **argv, int *i)
{
    const char *word = argv[*i];
    const char *dashes = word[1] == '-' ? "--" : "-";
    const char *name = word + strlen(dashes);
    size_t len = strcspn(name, "=");
    const char *value = name[len] ? name + len + 1 : NULL;
    const struct row *r = find_row(name, len);

    if (!r) {
        char bare[64];
        snprintf(bare, sizeof bare, "%.*s", (int)min_u64(len, 63), name);
        return complain(near_option(bare), dashes, "unknown option '%s%.*s'", dashes, (int)len, name);
    }
    if (r->kind == KIND_FLAG && value)
        return complain(NULL, "", "%s%s takes no argument", dashes, r->name);
    if (r->kind != KIND_FLAG && r->kind != KIND_MAYBE && !value) {
        if (*i + 1 >= argc)
            return complain(NULL, "", "%s%s needs an argument: %s", dashes, r->name, r->arg);
        value = argv[++*i];
    }
    return set_value(o, r, value);
}

static bool feature_value(const struct feature *f, const char *value, uint64_t *x)
{
    int i = f->words ? choice_index(f->words, value) : 0;

    if (f->words && i < 0)
        return complain(NULL, "", "-d %s: '%s' is not one of %s", f->word, value, f->words);
    if (f->words)
        *x = (uint64_t)i + 1;
    else if (!options_size(value, x) || *x < f->min || *x > f->max)
        return complain(NULL, "", "-d %s: '%s' is not a number from %llu to %llu", f->word, value,
                        (unsigned long long)f->min, (unsigned long long)f->max);
    return true;
}

static bool set_feature(struct bt_options *bt, char *word)
{
    char *value = strchr(word, '=');
    uint64_t x = 1;

    if (value)
        *value++ = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *f = &features[i];
        if (strcmp(f->word, word))
            continue;
        if (f->has_value != (value != NULL))
            return complain(NULL, "", "-d %s %s", word, value ? "takes no value" : "needs a value");
        if (value && !feature_value(f, value, &x))
            return false;
        if (f->width == 4)
            *(uint32_t *)((char *)bt + f->offset) = (uint32_t)x;
        else
            *((uint8_t *)bt + f->offset) = (uint8_t)x;
        return true;
    }
    return complain(near_feature(word), "-d ", "-d: unknown feature '%s'", word);
}

static bool parse_features(struct bt_options *bt, const char *list)
{
    char *copy = strdup(list), *save = NULL;
    bool ok = copy != NULL;

    for (char *w = ok ? strtok_r(copy, ",", &save) : NULL; w && ok; w = strtok_r(NULL, ",", &save))
        ok = set_feature(bt, w);
    free(copy);
    return ok;
}

/* All that the listing of a translation unit is made of. */
#define LISTING (BIT64(TRACE_tu) | BIT64(TRACE_tu_guest) | BIT64(TRACE_tu_map) | BIT64(TRACE_tu_host))

static uint64_t events_of(const char *pattern)
{
    uint64_t hit = 0;

    if (!strcmp(pattern, "all"))
        return BIT64(ARRAY_SIZE(events)) - 1;
    if (!strcmp(pattern, "listing"))
        return LISTING;
    for (unsigned i = 0; i < ARRAY_SIZE(events); i++)
        if (!fnmatch(pattern, events[i].name, 0) || !fnmatch(pattern, events[i].group, 0))
            hit |= BIT64(i);
    return hit;
}

bool options_trace_mask(const char *list, uint64_t *mask)
{
    char *copy = strdup(list), *save = NULL;
    bool ok = copy != NULL;

    *mask = 0;
    for (char *w = ok ? strtok_r(copy, ",", &save) : NULL; w && ok; w = strtok_r(NULL, ",", &save)) {
        bool minus = *w == '-';
        const char *pattern = w + minus;
        uint64_t hit = events_of(pattern);
        if (!hit)
            ok = complain(near_event(pattern), "", "--trace: no event or group matches '%s'", pattern);
        *mask = minus ? *mask & ~hit : *mask | hit;
    }
    /* Code on both sides wants the map that puts one beside the other. */
    if ((*mask & LISTING & ~BIT64(TRACE_tu_map)) == (LISTING & ~BIT64(TRACE_tu_map)))
        *mask |= LISTING;
    free(copy);
    return ok;
}

static bool check_values(struct options *o)
{
    if (o->image && o->kernel)
        return complain(NULL, "", "both -kernel '%s' and image '%s' given", o->kernel, o->image);
    if (!o->image)
        o->image = o->kernel;
    if (!o->image)
        return complain(NULL, "", "no image given");
    if (o->mem < RAM_MIN || o->mem > RAM_MAX || o->mem % PAGE_SIZE)
        return complain(NULL, "", "-m: guest RAM must be 16M to 3G in whole pages of 4K");
    if (o->serial && strcmp(o->serial, "stdio") && strcmp(o->serial, "null") &&
        (strncmp(o->serial, "file:", 5) || !o->serial[5]))
        return complain(NULL, "", "--serial: '%s' is not one of stdio, file:PATH, null", o->serial);
    if (o->stats_file && !o->stats)
        o->stats = STATS_TEXT;
    return true;
}

static void list_events(FILE *f)
{
    for (size_t i = 0; i < ARRAY_SIZE(events); i++)
        fprintf(f, "  %-12s %s\n", events[i].group, events[i].name);
    fputs("'all' stands for all of them, 'listing' for tu, tu_guest, tu_map and tu_host: guest code beside its\n"
          "translation.\n", f);
}

bool options_parse(struct options *o, int argc, char **argv)
{
    bool only_words = false;

    set_defaults(o);
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!only_words && !strcmp(word, "--")) {
            only_words = true;
        } else if (!only_words && word[0] == '-' && word[1]) {
            if (!parse_option(o, argc, argv, &i))
                return false;
        } else if (o->image) {
            return complain(NULL, "", "more than one image: '%s' and '%s'", o->image, word);
        } else {
            o->image = word;
        }
    }
    if (o->help || o->version)
        return true;
    if (o->trace && !strcmp(o->trace, "help")) {
        puts("Trace events (group, name):");
        list_events(stdout);
        o->help = true;
        o->trace_mask = UINT64_MAX;
        return true;
    }
    if (o->trace && !options_trace_mask(o->trace, &o->trace_mask))
        return false;
    if (o->debug && !parse_features(&o->bt, o->debug))
        return false;
    o->bt.check = o->check;
    o->bt.check_from = (uint32_t)o->check_from;
    return check_values(o);
}

void options_help(FILE *f)
{
    fputs("Usage: btvmm [OPTION]... IMAGE\n"
          "       btvmm [OPTION]... -kernel FILE [-initrd FILE] [-append STR]\n"
          "Run an i386 guest by binary translation: no VT-x or SVM, no privileges.\n\n"
          "Options (one dash or two; the argument follows '=' or is the next word):\n", f);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct row *r = &rows[i];
        char left[64];
        const char *dash = strlen(r->name) == 1 ? "-" : "--";
        const char *form = r->kind == KIND_FLAG ? "%s%s" : r->kind == KIND_MAYBE ? "%s%s[=%s]" : "%s%s %s";
        snprintf(left, sizeof left, form, dash, r->name, r->arg);
        fprintf(f, strlen(left) > 26 ? "  %s\n%28s" : "  %-26s", left, "");
        fputs(r->help, f);
        if (*r->def)
            fprintf(f, " [%s]", r->def);
        fputc('\n', f);
    }
    fputs("\nFeatures for -d:\n", f);
    for (size_t i = 0; i < ARRAY_SIZE(features); i++)
        fprintf(f, "  %-12s%s%s\n", features[i].word, features[i].words ? "=WORD " : features[i].has_value ? "=N  " : "    ",
                features[i].help);
    fputs("\nOn a terminal: Ctrl-A x ends the VM, Ctrl-A s prints counters, Ctrl-A h helps,\n"
          "Ctrl-A Ctrl-A sends Ctrl-A.\n\n"
          "Exit status: 0 the guest powered off (or reset under -no-reboot), 1 error,\n"
          "2 wrong usage, 128+N ended by signal N, else the guest's own: (code << 1) | 1.\n", f);
}
