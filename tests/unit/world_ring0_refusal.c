/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * On which hosts the kernel module refuses to work: each reason alone, which comes first, and the one host that is accepted.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "world/ring0/kmod/refusal.h"

static const struct host_facts good = {.nx = true};

static void refused(struct host_facts host, const char *word)
{
    const char *why = host_refusal(&host);

    cr_assert_not_null(why, "%s: accepted", word);
    cr_expect(strstr(why, word), "%s: %s", word, why);
    cr_expect_null(strchr(why, '\n'), "%s: more than a line", word);
}

Test(world_ring0_refusal, accepts)
{
    cr_expect_null(host_refusal(&good));
}

Test(world_ring0_refusal, each_alone)
{
    struct host_facts host[5] = {good, good, good, good, good};

    host[0].xen_pv = true;
    refused(host[0], "Xen PV");
    host[1].mem_encrypt = true;
    refused(host[1], "encrypted (SME, SEV or TDX)");
    host[2].fred = true;
    refused(host[2], "fred=off");
    host[3].nx = false;
    refused(host[3], "execute-disable");
    host[4].locked_down = true;
    refused(host[4], "locked down");
}

/* Every combination: refused unless it is the good one, by the first reason that there is. */
Test(world_ring0_refusal, first_reason)
{
    static const char *const words[] = {"Xen PV", "encrypted", "FRED", "execute-disable", "locked down"};

    for (unsigned bits = 1; bits < 1u << 5; bits++)
        refused((struct host_facts){.xen_pv = bits & 1, .mem_encrypt = bits & 2, .fred = bits & 4, .nx = !(bits & 8),
                                    .locked_down = bits & 16},
                words[__builtin_ctz(bits)]);
}
