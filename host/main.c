/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * btvmm: run an i386 guest without VT-x or SVM.
 */
#include <stdio.h>

#include "config.h"
#include "host/options.h"
#include "host/vmx.h"

int main(int argc, char **argv)
{
    static struct options o;

    if (!options_parse(&o, argc, argv))
        return 2;
    if (o.version) {
        puts("btvmm " PACKAGE_VERSION);
        return 0;
    }
    if (o.help) {
        if (!o.trace_mask) /* --trace=help has printed its list */
            options_help(stdout);
        return 0;
    }
    return vmx_run(&o);
}
