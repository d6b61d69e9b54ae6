/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a VM ended: the message, the dump, the counters, the exit status.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/message.h"
#include "host/vmx_priv.h"
#include "world/proc/child.h"

/* Through memory, so that a raw terminal gets its CR LF like all other messages. */
static void stats_to_terminal(struct vmx *v)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return;
    report_stats_text(f, &v->x->stats, v->tsc_hz);
    fclose(f);
    message_text("\n");
    message_text(text);
    free(text);
}

/* Counters that are sums are made on request; a monitor that is busy for long is not waited for. */
void vmx_print_stats(struct vmx *v)
{
    v->x->stats_req++;
    child_kick(v->x, v->vmm);
    for (int i = 0; i < 50 && v->x->stats_ack != v->x->stats_req; i++)
        usleep(1000);
    stats_to_terminal(v);
}

static void final_stats(struct vmx *v)
{
    if (!v->stats_file)
        return;
    if (v->o->stats == STATS_JSON)
        report_stats_json(v->stats_file, &v->x->stats, v->tsc_hz, report_stop_name(v->x->stopped),
                          v->world->name);
    else
        report_stats_text(v->stats_file, &v->x->stats, v->tsc_hz);
    if (fflush(v->stats_file) || ferror(v->stats_file))
        message("writing the counters failed");
}

/* The dump is the VMM's text, and so half the guest's: nothing but printable characters gets out. */
static void print_dump(struct cross *x)
{
    static char text[CROSS_DUMP_SIZE + 1];

    memcpy(text, x->dump, CROSS_DUMP_SIZE);
    text[CROSS_DUMP_SIZE] = '\0';
    for (char *p = text; *p; p++)
        if (*p != '\n' && *p != '\t' && ((unsigned char)*p < ' ' || (unsigned char)*p >= 127))
            *p = '?';
    if (!*text)
        return;
    message_text(text);
    if (text[strlen(text) - 1] != '\n')
        message_text("\n");
}

/* Only a VMM that ended in order has said where the guest was. */
static void print_guest_end(struct vmx *v)
{
    struct cross_end end = v->x->end;
    char *text = NULL;
    size_t size = 0;
    FILE *f = end.valid ? open_memstream(&text, &size) : NULL;

    if (!f)
        return;
    report_guest_end(f, &end, &v->ram, vmx_symbols(v));
    fclose(f);
    message_text(text);
    free(text);
}

static int bad_end(struct vmx *v, const char *kind)
{
    char why[sizeof v->x->stop_msg + 1];

    memcpy(why, v->x->stop_msg, sizeof v->x->stop_msg);
    why[sizeof why - 1] = '\0';
    message("%s%s%s", kind, *why ? ": " : "", why);
    print_dump(v->x);
    print_guest_end(v);
    return 1;
}

static int vmm_died(struct vmx *v)
{
    if (WIFSIGNALED(v->vmm_status))
        message("the VMM process was killed by signal %d (%s)", WTERMSIG(v->vmm_status),
                strsignal(WTERMSIG(v->vmm_status)));
    else
        message("the VMM process ended unexpectedly with status %d", WEXITSTATUS(v->vmm_status));
    print_dump(v->x);
    return 1;
}

static int status_of_stop(struct vmx *v)
{
    switch ((enum vm_stop_kind)v->x->stopped) {
    case VM_RUNNING:
        return vmm_died(v);
    case VM_STOP_HALTED:
    case VM_STOP_RESET:
        return 0;
    case VM_STOP_EXIT:
        return ((v->x->stop_code << 1) | 1) & 0xff;
    case VM_STOP_TRIPLE:
        return bad_end(v, "triple fault");
    case VM_STOP_UNSUPPORTED:
        return bad_end(v, "the guest asked for what is not supported");
    case VM_STOP_BUG:
        return bad_end(v, "internal error");
    case VM_STOP_HOST:
        return bad_end(v, "host");
    case VM_STOP_DIVERGED:
        return bad_end(v, "interpreter and translation differ");
    }
    return bad_end(v, "the VMM stopped for an unknown reason");
}

int vmx_end(struct vmx *v)
{
    console_close(&v->console);
    final_stats(v);
    /* A stop that we asked for is no error, whatever the VMM was doing; what it found itself counts. */
    bool asked = v->x->stopped == VM_RUNNING || v->x->stopped == VM_STOP_HOST;
    if (asked && v->ended_by)
        return 128 + v->ended_by;
    if (asked && v->quit)
        return 0;
    return status_of_stop(v);
}
