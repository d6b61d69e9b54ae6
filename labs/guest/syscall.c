/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls: INT 0x80 with the number in EAX and arguments in EBX, ECX, EDX,
 * the result in EAX; -1 says that it could not be done.  user/user.h is the
 * other side.  Nothing that a program passes is believed.
 */
#include "kernel.h"

/* ORDER user/user.h */
enum { CALL_EXIT, CALL_WRITE, CALL_GETPID, CALL_SLEEP, CALL_YIELD, CALL_SPAWN, CALL_WAIT, CALL_TIME, CALL_GETC };

enum { NAME_MAX = 16 };

static int32_t do_write(uint32_t address, uint32_t length)
{
    if (length > PAGE_SIZE || !space_accessible(current->directory, address, length))
        return -1;
    for (uint32_t i = 0; i < length; i++)
        console_put(((const char *)address)[i]);
    return length;
}

static int32_t do_spawn(uint32_t address, uint32_t argument)
{
    char name[NAME_MAX];

    for (unsigned i = 0; i < NAME_MAX; i++) {
        if (!space_accessible(current->directory, address + i, 1))
            return -1;
        name[i] = ((const char *)address)[i];
        if (name[i] == 0)
            return process_spawn(name, argument);
    }
    return -1;
}

static int32_t do_getc(void)
{
    int c;

    while ((c = console_get()) < 0)
        process_wait_input(0);
    return c;
}

static int32_t do_sleep(uint32_t milliseconds)
{
    if (milliseconds > 1000000)
        return -1;
    process_sleep_until(ticks + (milliseconds * HZ + 999) / 1000);
    return 0;
}

void syscall_dispatch(struct trap_frame *f)
{
    switch (f->eax) {
    case CALL_EXIT:
        process_exit(f->ebx);
    case CALL_WRITE:
        f->eax = do_write(f->ebx, f->ecx);
        break;
    case CALL_GETPID:
        f->eax = current->pid;
        break;
    case CALL_SLEEP:
        f->eax = do_sleep(f->ebx);
        break;
    case CALL_YIELD:
        f->eax = 0;
        schedule();
        break;
    case CALL_SPAWN:
        f->eax = do_spawn(f->ebx, f->ecx);
        break;
    case CALL_WAIT:
        f->eax = process_wait(f->ebx);
        break;
    case CALL_TIME:
        f->eax = ticks * (1000 / HZ);
        break;
    case CALL_GETC:
        f->eax = do_getc();
        break;
    default:
        f->eax = -1;
    }
}
