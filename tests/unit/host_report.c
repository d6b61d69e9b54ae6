/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trace lines, counters, symbols. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/report.h"

static struct symbol table[] = {
    {0x1000, "first"}, {0x1000, "same"}, {0x2000, "second"}, {0xfff00000, "last"}};
static const struct symbols symbols = {table, 4, 4};

Test(host_report, trace_line_with_symbol)
{
    const struct trace_record r = {0, TRACE_exception, 14, 2, 0x2010};
    char buf[200];

    trace_format(buf, sizeof buf, &r, NULL);
    cr_expect_str_eq(buf, "cpu.exception vector 14 error 0x2 eip 0x2010");
    trace_format(buf, sizeof buf, &r, &symbols);
    cr_expect_str_eq(buf, "cpu.exception vector 14 error 0x2 eip 0x2010 <second+0x10>");
}

Test(host_report, trace_line_is_bounded)
{
    const struct trace_record r = {0, TRACE_tu, 0xffffffff, 0xffffffff, 0xffffffff};
    char buf[64];

    for (size_t n = 1; n < sizeof buf; n++) {
        memset(buf, 'x', sizeof buf);
        trace_format(buf, n, &r, &symbols);
        cr_expect(memchr(buf, '\0', n) != NULL);
        cr_expect_eq(buf[n], 'x');
    }
}

Test(host_report, unknown_event)
{
    const struct trace_record r = {0, 0xffffffff, 1, 2, 3};
    char buf[100];

    trace_format(buf, sizeof buf, &r, NULL);
    cr_expect(strstr(buf, "unknown event"));
}

static char *text;
static size_t text_size;

static struct trace_out open_out(void)
{
    return (struct trace_out){.file = open_memstream(&text, &text_size), .tsc_hz = 1000};
}

static unsigned count_lines(void)
{
    unsigned n = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        n++;
    return n;
}

Test(host_report, drain_takes_each_record_once)
{
    struct trace_ring *ring = calloc(1, sizeof *ring);
    struct trace_out t = open_out();

    for (unsigned i = 0; i < 3000; i++)
        trace_write(ring, TRACE_cr3, i, 0, 0);
    cr_expect_eq(trace_drain(&t, ring), 3000);
    cr_expect_eq(trace_drain(&t, ring), 0);
    trace_write(ring, TRACE_cr3, 0xabc, 0, 0);
    cr_expect_eq(trace_drain(&t, ring), 1);
    fclose(t.file);
    cr_expect_eq(count_lines(), 3001);
    cr_expect(strstr(text, "cr3 0xabc"));
}

Test(host_report, drain_says_what_was_lost)
{
    struct trace_ring *ring = calloc(1, sizeof *ring);
    struct trace_out t = open_out();

    for (unsigned i = 0; i < TRACE_RECORDS + 10; i++)
        trace_write(ring, TRACE_cr3, i, 0, 0);
    cr_expect_eq(trace_drain(&t, ring), TRACE_RECORDS);
    fclose(t.file);
    cr_expect(strstr(text, "10 records lost"));
}

/* Indices that a broken VMM wrote must not hang or crash the reader. */
Test(host_report, drain_survives_wild_indices, .timeout = 10)
{
    struct trace_ring *ring = calloc(1, sizeof *ring);
    struct trace_out t = open_out();

    ring->head = UINT64_MAX;
    ring->rec[5].event = 0x12345678;
    cr_expect_leq(trace_drain(&t, ring), TRACE_RECORDS);
    ring->head = 0;
    cr_expect_eq(trace_drain(&t, ring), 0);
    fclose(t.file);
}

Test(host_report, json_has_every_counter)
{
    struct stats s = {.callouts = 17};
    FILE *f = open_memstream(&text, &text_size);

    report_stats_json(f, &s, 5, report_stop_name(VM_STOP_HALTED));
    fclose(f);
    cr_expect(strstr(text, "\"callouts\": 17"));
    cr_expect(strstr(text, "\"stop\": \"halted\""));
#define STAT(name, help) cr_expect(strstr(text, "\"" #name "\": "));
#include "base/stats.def"
#undef STAT
    cr_expect_eq(text[0], '{');
    cr_expect_null(strstr(text, ",\n}"));
}

Test(host_report, text_has_every_counter)
{
    struct stats s = {.cr3_loads = 9};
    FILE *f = open_memstream(&text, &text_size);

    report_stats_text(f, &s, 0);
    fclose(f);
#define STAT(name, help) cr_expect(strstr(text, "  " #name " "));
#include "base/stats.def"
#undef STAT
}

Test(host_report, listing)
{
    static const uint8_t code[] = {0x89, 0xd8, 0x0f, 0x0b, 0xc3};
    FILE *f = open_memstream(&text, &text_size);

    listing_code(f, code, sizeof code, 0x1000, 32, "  ");
    fclose(f);
    cr_expect(strstr(text, "00001000") && strstr(text, "%ebx, %eax"));
    cr_expect_eq(count_lines(), 3);
}

Test(host_symbols, find)
{
    uint32_t off;

    cr_expect_null(symbols_find(&symbols, 0xfff, &off));
    cr_expect_str_eq(symbols_find(&symbols, 0x2000, &off), "second");
    cr_expect_eq(off, 0);
    cr_expect_str_eq(symbols_find(&symbols, 0xffffffff, &off), "last");
    cr_expect_eq(off, 0xfffff);
    cr_expect_null(symbols_find(&symbols, 0x80000000, &off));
}

Test(host_symbols, system_map)
{
    char path[] = "/tmp/btvmm-map-XXXXXX", err[300];
    struct symbols s = {0};
    uint32_t off;
    int fd = mkstemp(path);
    static const char map[] =
        "c0100000 T _text\nc0100040 t start\nnonsense\nffffffff81000000 T wide\nc0200000 A abs";

    cr_assert(fd >= 0 && write(fd, map, sizeof map - 1) == sizeof map - 1);
    cr_assert(symbols_load(&s, path, err, sizeof err), "%s", err);
    cr_expect_eq(s.count, 2);
    cr_expect_str_eq(symbols_find(&s, 0xc0100044, &off), "start");
    cr_expect_eq(off, 4);
    symbols_free(&s);
    cr_assert_eq(ftruncate(fd, 0), 0);
    cr_expect(!symbols_load(&s, path, err, sizeof err));
    close(fd);
    unlink(path);
}
