/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trace lines, counters, symbols. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "host/report.h"

static struct symbol table[] = {
    {0x1000, "first", 0}, {0x1000, "same", 0}, {0x2000, "second", 0}, {0xfff00000, "last", 0}};
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

    report_stats_json(f, &s, 5, report_stop_name(VM_STOP_HALTED), "ring0");
    fclose(f);
    cr_expect(strstr(text, "\"callouts\": 17"));
    cr_expect(strstr(text, "\"stop\": \"halted\""));
    cr_expect(strstr(text, "\"world\": \"ring0\""));
#define STAT(name, help) cr_expect(strstr(text, "\"" #name "\": "));
#include "base/stats.def"
#undef STAT
    cr_expect_eq(text[0], '{');
    cr_expect_null(strstr(text, ",\n}"));
}

static void print_text(const struct stats *s)
{
    FILE *f = open_memstream(&text, &text_size);

    report_stats_text(f, s, 1000000);
    fclose(f);
}

Test(host_report, text_has_every_counter)
{
    struct stats s = {.cr3_loads = 9, .world_enters = 1, .cycles_bt = 1};

    print_text(&s);
    /* The cycles of a reason stand in the reason's line. */
#define STAT(name, help) cr_expect(!strncmp(help, "  cycles", 8) || strstr(text, "  " #name "\n"), #name);
#include "base/stats.def"
#undef STAT
}

Test(host_report, text_splits_time)
{
    struct stats s = {.world_enters = 5, .cycles_total = 2000, .cycles_bt = 500, .cycles_monitor = 1000,
                      .cycles_idle = 500, .exits_gate = 4, .cycles_gate = 100};

    print_text(&s);
    cr_expect(strstr(text, "25.0               500  cycles_bt\n"));
    cr_expect(strstr(text, "50.0              1000  cycles_monitor\n"));
    cr_expect(strstr(text, " 4               100        25     5.0  exits_gate\n"));
    s.cycles_bt = 0; /* nobody counted */
    print_text(&s);
    cr_expect_null(strstr(text, "cycles_bt"));
    cr_expect(strstr(text, "run with --stats"));
}

Test(host_report, listing)
{
    static const uint8_t code[] = {0x89, 0xd8, 0x0f, 0x0b, 0xc3};
    FILE *f = open_memstream(&text, &text_size);

    listing_code(f, code, sizeof code, 0x1000, 32, 10, "  ", NULL);
    listing_code(f, code, sizeof code, 0x1000, 32, 1, "  ", NULL);
    fclose(f);
    cr_expect(strstr(text, "00001000") && strstr(text, "%ebx,%eax"));
    cr_expect_eq(count_lines(), 4);
}

/* A unit of mov, cli, jmp as its records come, in one piece or with the reader between them. */
static void write_unit(struct trace_ring *ring, bool map)
{
    static const uint8_t guest[12] = {0x89, 0xd8, 0xfa, 0xe9, 0xf5, 0x0f, 0, 0};
    static const uint8_t host[] = {
        0x89, 0xd8,                                                       /* 0: mov */
        0x65, 0xc7, 0x05, 0x18, 0, 0, 0, 0, 0, 0, 0,                      /* 2: movl $0, %gs:vif */
        0xe9, 0, 0, 0, 0,                                                 /* 13: jmp to the stub */
        0x65, 0xc7, 0x05, 0, 0, 0, 0, 0x11, 0, 0, 0,                      /* 18: exit 0 of unit 1 */
        0xea, 0, 0, 0xc4, 0xff, 0x33, 0,                                  /* ljmp */
    };
    uint32_t w[12] = {0};

    memcpy(w, guest, 8);
    trace_write(ring, TRACE_tu, 0x2000, 0xffc42000, 8 | (uint32_t)sizeof host << 16);
    trace_write(ring, TRACE_tu_guest, w[0], w[1], 0);
    if (map) {
        trace_write(ring, TRACE_tu_map, 1u << 31, 1u << 31 | 1 << 20 | 2, 1u << 31 | 2 << 20 | 13);
        trace_write(ring, TRACE_tu_map, 1u << 31 | 2 << 20 | 2 << 16 | 13, 1u << 31 | 2 << 20 | 4 << 16 | 18, 0);
    }
    memset(w, 0, sizeof w);
    memcpy(w, host, sizeof host);
    for (unsigned i = 0; i < sizeof host; i += 12)
        trace_write(ring, TRACE_tu_host, w[i / 4], w[i / 4 + 1], w[i / 4 + 2]);
}

static void expect_line(const char *one, const char *two, const char *three)
{
    char *copy = strdup(text), *save = NULL;
    bool found = false;

    for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
        found |= strstr(l, one) && strstr(l, two) && strstr(l, three);
    cr_expect(found, "no line with '%s', '%s', '%s' in:\n%s", one, two, three, text);
    free(copy);
}

Test(host_report, unit_listing_by_map)
{
    struct trace_ring *ring = calloc(1, sizeof *ring);
    struct trace_out t = open_out();

    t.symbols = &symbols;
    write_unit(ring, true);
    uint64_t all = ring->head;
    /* The reader may come at any time. */
    for (uint64_t head = 1; head <= all; head++) {
        ring->head = head;
        trace_drain(&t, ring);
    }
    trace_finish(&t);
    fclose(t.file);
    cr_expect_eq(count_lines(), 5);
    expect_line("bt.tu eip 0x2000 <second>", "tca 0xffc42000", "bytes 8 to 36");
    expect_line("00002000  movl   %ebx,%eax", " = ffc42000", "movl   %ebx,%eax");
    expect_line("00002002  cli", " > ffc42002", "movl   $0,%gs:<vif>");
    expect_line("00002003  jmp    0x2ffd <second+0xffd>", " > ffc4200d", "jmp    0xffc42012");
    expect_line("(exit stub)", "ffc42012", "callout exit to 0x2ffd <second+0xffd>");
}

Test(host_report, unit_listing_without_map_and_cut_short)
{
    struct trace_ring *ring = calloc(1, sizeof *ring);
    struct trace_out t = open_out();

    write_unit(ring, false);
    trace_write(ring, TRACE_cr3, 1, 2, 3);
    write_unit(ring, false);
    ring->head -= 2; /* ends within the unit */
    trace_drain(&t, ring);
    trace_finish(&t);
    fclose(t.file);
    expect_line("00002000", "movl", "%ebx,%eax");
    expect_line("> ffc42002", "movl", "%gs:<vif>");
    expect_line("cr3", "0x1", "");
}

/* Whatever a broken VMM writes, nothing runs over. */
Test(host_report, unit_listing_of_junk, .timeout = 20)
{
    struct trace_ring *ring = calloc(1, sizeof *ring);
    struct trace_out t = open_out();

    srand(1);
    for (unsigned i = 0; i < 60000; i++) {
        unsigned r = (unsigned)rand(), e = r & 15;
        trace_write(ring, e == 0 ? TRACE_tu : e < 5 ? TRACE_tu_guest : e < 10 ? TRACE_tu_map : TRACE_tu_host,
                    (uint32_t)rand(), (uint32_t)rand(), (uint32_t)rand() << (r >> 8 & 31));
    }
    trace_drain(&t, ring);
    trace_finish(&t);
    fclose(t.file);
    cr_expect_gt(text_size, 1000);
}

/* --------------------------------------------------- the guest's end */

#define RAM_SIZE 0x40000u
static uint8_t *ram_bytes;

static void end_text(const struct cross_end *end)
{
    struct guestram ram = {.base = ram_bytes, .size = RAM_SIZE};
    FILE *f = open_memstream(&text, &text_size);

    report_guest_end(f, end, &ram, &symbols);
    fclose(f);
}

/* Code at 0x2010, a stack at 0x9000 with one word that follows a call. */
static struct cross_end make_end(void)
{
    ram_bytes = calloc(1, RAM_SIZE);
    memcpy(ram_bytes + 0x2010, "\x0f\x0b\xc3", 3);
    memcpy(ram_bytes + 0x2020, "\xe8\x00\x00\x00\x00", 5);
    put32(ram_bytes + 0x9004, 0x2025);
    put32(ram_bytes + 0x9008, 0x2024);
    return (struct cross_end){.valid = 1, .code32 = 1, .stack32 = 1, .eip = 0x2010, .esp = 0x9000, .cr0 = 1,
                              .nrecent = 1, .recent = {0x2020}};
}

Test(host_end, flat)
{
    struct cross_end end = make_end();

    end_text(&end);
    expect_line("guest code at 00002010", "<second+0x10>", "");
    expect_line("00002010", "ud2", "");
    expect_line("translated blocks", "-d nochain,noindirect shows all", "");
    expect_line("00002020", "<second+0x20>", "");
    expect_line("00002020", "call", "0x2025 <second+0x25>");
    expect_line("00009000: 00000000 00002025 00002024", "", "");
    expect_line("  00009004: 00002025", "<second+0x25>", "");
    cr_expect_null(strstr(text, "  00009008: 00002024"));
    end.recent_all = 1;
    end_text(&end);
    expect_line("translated blocks that the monitor entered last, latest first:", "", "");
}

Test(host_end, paged_32)
{
    struct cross_end end = make_end();

    /* Directory at 0x20000, table at 0x21000: linear 0xc0002000 is 0x2000; the stack is not mapped. */
    put32(ram_bytes + 0x20000 + (0xc0000000u >> 22) * 4, 0x21003);
    put32(ram_bytes + 0x21000 + 2 * 4, 0x2003);
    end.cr0 |= 0x80000000u;
    end.cr3 = 0x20000;
    end.eip = 0xc0002010;
    end_text(&end);
    expect_line("c0002010", "ud2", "");
    expect_line("guest stack: not mapped", "", "");
    expect_line("00002020  (not mapped)", "", "");
    /* The same by a large page. */
    put32(ram_bytes + 0x20000 + (0xc0000000u >> 22) * 4, 0x83);
    end.cr4 = 0x10;
    end_text(&end);
    expect_line("c0002010", "ud2", "");
}

Test(host_end, paged_pae)
{
    struct cross_end end = make_end();

    put64(ram_bytes + 0x20000, 0x21003);
    put64(ram_bytes + 0x21000 + 2 * 8, 0x2003 | 1ull << 63);
    end.cr0 |= 0x80000000u;
    end.cr4 = 0x20;
    end.pdpte[3] = 0x20001;
    end.eip = 0xc0002010;
    end_text(&end);
    expect_line("c0002010", "ud2", "");
    put64(ram_bytes + 0x20000, 0x83);
    end_text(&end);
    expect_line("c0002010", "ud2", "");
    /* Tables outside of RAM. */
    end.pdpte[3] = 0xffffffff0000001ull;
    end_text(&end);
    expect_line("c0002010  (not mapped)", "", "");
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

/* A kernel image has bytes that look like a map's line; it is none. */
Test(host_symbols, binary_is_no_map)
{
    char path[] = "/tmp/btvmm-map-XXXXXX", err[300];
    struct symbols s = {0};
    int fd = mkstemp(path);
    static const char junk[] = "\x7f\0\xff\nc0100000 T Q\xfe\x01\n1 T x\nc0100000 T good\n";
    static const char lines[] = "1 T short\nc0100000 T b\x7f" "ad\nc0100000TT x\nc0100000 T\n";

    cr_assert(fd >= 0 && write(fd, junk, sizeof junk - 1) == sizeof junk - 1);
    cr_expect(!symbols_load(&s, path, err, sizeof err));
    cr_assert(ftruncate(fd, 0) == 0 && pwrite(fd, lines, sizeof lines - 1, 0) == sizeof lines - 1);
    cr_expect(!symbols_load(&s, path, err, sizeof err));
    cr_expect_eq(s.count, 0);
    cr_expect(!symbols_of_elf(&s, (const uint8_t *)junk, sizeof junk - 1));
    close(fd);
    unlink(path);
}
