/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line: both styles, defaults, complaints. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/options.h"
#include "host/worlds.h"

#define PARSE(o, ...)                                             \
    ({                                                            \
        char *argv_[] = {"btvmm", __VA_ARGS__, NULL};             \
        options_parse(o, (int)ARRAY_SIZE(argv_) - 1, argv_);      \
    })

Test(host_options, defaults)
{
    struct options o;

    cr_assert(PARSE(&o, "guest.img"));
    cr_expect_str_eq(o.image, "guest.img");
    cr_expect_eq(o.mem, 128ull << 20);
    cr_expect_eq(o.user_exec, USER_EXEC_AUTO);
    cr_expect_eq(o.cpu, CPU_MODEL_AUTO);
    cr_expect_eq(o.world, WORLD_CHOICE_PROC);
    cr_expect_eq(o.stats, STATS_NONE);
    cr_expect_eq(o.bt.tu_insns, 12);
    cr_expect_eq(o.bt.check, 0);
    cr_expect_eq(o.trace_mask, 0);
    cr_expect_str_eq(o.serial, "stdio");
    cr_expect(!o.no_reboot);
}

Test(host_options, one_dash_or_two_equals_or_space)
{
    struct options o;

    cr_assert(PARSE(&o, "-m", "256M", "-kernel", "k", "--initrd=i", "--append", "a b=c", "-no-reboot"));
    cr_expect_eq(o.mem, 256ull << 20);
    cr_expect_str_eq(o.image, "k");
    cr_expect_str_eq(o.initrd, "i");
    cr_expect_str_eq(o.append, "a b=c");
    cr_expect(o.no_reboot);
    cr_assert(PARSE(&o, "--mem=1G", "-kernel=k", "-initrd", "i", "-append=root=/dev/sda", "--no-reboot"));
    cr_expect_eq(o.mem, 1ull << 30);
    cr_expect_str_eq(o.append, "root=/dev/sda");
    cr_assert(PARSE(&o, "--", "-odd-name"));
    cr_expect_str_eq(o.image, "-odd-name");
}

Test(host_options, choices)
{
    struct options o;

    cr_assert(PARSE(&o, "x", "--user-exec=translate", "--cpu", "host", "--stats"));
    cr_expect_eq(o.user_exec, USER_EXEC_TRANSLATE);
    cr_expect_eq(o.cpu, CPU_MODEL_HOST);
    cr_expect_eq(o.stats, STATS_TEXT);
    cr_assert(PARSE(&o, "x", "--world=ring0"));
    cr_expect_eq(o.world, WORLD_CHOICE_RING0);
    cr_assert(PARSE(&o, "-world", "auto", "x"));
    cr_expect_eq(o.world, WORLD_CHOICE_AUTO);
    cr_assert(PARSE(&o, "--stats=json", "--user-exec=direct", "x"));
    cr_expect_eq(o.user_exec, USER_EXEC_DIRECT);
    cr_expect_eq(o.stats, STATS_JSON);
    /* A bare --stats does not eat the image's name. */
    cr_assert(PARSE(&o, "--stats", "x"));
    cr_expect_str_eq(o.image, "x");
    cr_assert(PARSE(&o, "--stats-file=f", "x"));
    cr_expect_eq(o.stats, STATS_TEXT);
}

Test(host_options, features)
{
    struct options o;

    cr_assert(
        PARSE(&o, "x", "-d", "nochain,noretcache,noindirect,noinlineif,noinlineseg,noinlinesys,tu=1,tc=64K", "--check"));
    cr_expect(o.bt.no_chain && o.bt.no_return_cache && o.bt.no_indirect && o.bt.no_inline_if &&
              o.bt.no_inline_seg && o.bt.no_inline_sys);
    cr_expect(!o.bt.interp_only && !o.bt.interp_user && !o.bt.interp_kernel && !o.bt.inject_irq);
    cr_expect_eq(o.bt.tu_insns, 1);
    cr_expect_eq(o.bt.tc_bytes, 65536);
    cr_expect_eq(o.bt.check, 1);
    cr_expect(!o.bt.no_adapt && !o.bt.adapt_all);
    cr_assert(PARSE(&o, "x", "-d", "noadapt,adaptall"));
    cr_expect(o.bt.no_adapt && o.bt.adapt_all);
    cr_assert(PARSE(&o, "x", "-d", "interp,interpuser,interpkernel,noreserve,injectirq"));
    cr_expect(o.bt.interp_only && o.bt.interp_user && o.bt.interp_kernel  && o.bt.no_reserve &&
              o.bt.inject_irq);
}

Test(host_options, trace_lists)
{
    uint64_t mask, all;

    cr_assert(options_trace_mask("tu,exception", &mask));
    cr_expect_eq(mask, BIT64(TRACE_tu) | BIT64(TRACE_exception));
    cr_assert(options_trace_mask("mmu", &mask));
    cr_expect(mask & BIT64(TRACE_cr3));
    cr_expect(!(mask & BIT64(TRACE_tu)));
    cr_assert(options_trace_mask("io_*", &mask));
    cr_expect_eq(mask, BIT64(TRACE_io_in) | BIT64(TRACE_io_out));
    cr_assert(options_trace_mask("all", &all));
    cr_expect_eq(all, BIT64(TRACE_COUNT) - 1);
    cr_assert(options_trace_mask("*,-io", &mask));
    cr_expect_eq(mask, all & ~(BIT64(TRACE_io_in) | BIT64(TRACE_io_out) | BIT64(TRACE_mmio)));
}

Test(host_options, sizes)
{
    uint64_t n;

    cr_expect(options_size("16M", &n) && n == 16 << 20);
    cr_expect(options_size("3g", &n) && n == 3ull << 30);
    cr_expect(options_size("0x1000", &n) && n == 4096);
    cr_expect(!options_size("", &n));
    cr_expect(!options_size("M", &n));
    cr_expect(!options_size("-1", &n));
    cr_expect(!options_size("12Q", &n));
    cr_expect(!options_size("12MM", &n));
    cr_expect(!options_size("99999999999999999999", &n));
    cr_expect(!options_size("18446744073709551615G", &n));
}

/* Each complaint is one line and, where a name is near, names it. */
static void expect_line(const char *part)
{
    char buf[1024] = "";
    FILE *err = cr_get_redirected_stderr();
    size_t n = fread(buf, 1, sizeof buf - 1, err);

    cr_expect(n > 0 && strchr(buf, '\n') == buf + n - 1, "one line: '%s'", buf);
    cr_expect(strstr(buf, part), "'%s' not in '%s'", part, buf);
}

#define COMPLAINS(name, part, ...)                                       \
    Test(host_options, name, .init = cr_redirect_stderr)                 \
    {                                                                    \
        struct options o;                                                \
        cr_expect(!PARSE(&o, __VA_ARGS__));                              \
        fflush(stderr);                                                  \
        close(STDERR_FILENO);                                            \
        expect_line(part);                                               \
    }


COMPLAINS(hint_option, "did you mean '--initrd'?", "--intrd=x", "k")
COMPLAINS(hint_one_dash, "did you mean '-kernel'?", "-kernal", "k")
COMPLAINS(no_hint, "try 'btvmm --help'", "--zzzzzzzz", "k")
COMPLAINS(hint_feature, "did you mean '-d nochain'?", "k", "-d", "nochian")
COMPLAINS(hint_event, "did you mean 'exception'?", "k", "--trace=excepton")
COMPLAINS(needs_argument, "needs an argument", "k", "-m")
COMPLAINS(takes_none, "takes no argument", "k", "--check=1")
COMPLAINS(bad_size, "is not a size", "k", "-m", "lots")
COMPLAINS(too_little, "16M to 3G", "k", "-m", "8M")
COMPLAINS(too_much, "16M to 3G", "k", "-m", "4G")
COMPLAINS(odd_size, "16M to 3G", "k", "-m", "16777217")
COMPLAINS(bad_choice, "auto|direct|translate", "k", "--user-exec=fast")
COMPLAINS(bad_stats, "text|json", "k", "--stats=xml")
COMPLAINS(no_image, "no image", "-m", "64M")
COMPLAINS(two_images, "more than one image", "a", "b")
COMPLAINS(image_and_kernel, "both", "a", "-kernel", "b")
COMPLAINS(bad_serial, "stdio, file:PATH, null", "a", "--serial=tcp:1")
COMPLAINS(value_range, "from 1 to 12", "a", "-d", "tu=13")
COMPLAINS(value_missing, "needs a value", "a", "-d", "tu")
COMPLAINS(value_unwanted, "takes no value", "a", "-d", "nochain=1")
