/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fork, exec, wait and pipes: address spaces made, copied on write, and thrown away. */
#include "nolibc.h"

static volatile unsigned shared_page[1024] __attribute__((aligned(4096)));

static void child_writes(int fd, unsigned n)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < n; i++) {
        unsigned word = i * 2654435761u;

        sum += word;
        if (SYS(SYS_write, fd, &word, 4) != 4)
            break;
    }
    shared_page[0] = sum;       /* the parent's copy must not change */
    SYS(SYS_exit, shared_page[0] == sum ? 42 : 1, 0, 0);
}

static void test_pipe(void)
{
    int fds[2], status = 0;
    unsigned word, sum = 0, expected = 0, n = 0;
    long pid;

    shared_page[0] = 7;
    CHECK("pipe", SYS(SYS_pipe, fds, 0, 0), 0);
    pid = SYS(SYS_fork, 0, 0, 0);
    if (pid == 0) {
        SYS(SYS_close, fds[0], 0, 0);
        child_writes(fds[1], 3000);
    }
    SYS(SYS_close, fds[1], 0, 0);
    while (SYS(SYS_read, fds[0], &word, 4) == 4) {
        sum += word;
        n++;
    }
    SYS(SYS_close, fds[0], 0, 0);
    for (unsigned i = 0; i < 3000; i++)
        expected += i * 2654435761u;
    CHECK("pipe-words", n, 3000);
    CHECK("pipe-sum", sum, expected);
    CHECK("wait", SYS(SYS_waitpid, pid, &status, 0), pid);
    CHECK("exit-status", status, 42 << 8);
    CHECK("copy-on-write", shared_page[0], 7);
}

static void test_many(void)
{
    unsigned good = 0;

    for (unsigned i = 0; i < 40; i++) {
        int status = 0;
        long pid = SYS(SYS_fork, 0, 0, 0);

        if (pid == 0) {
            shared_page[i] = i;
            SYS(SYS_exit, i + shared_page[i], 0, 0);
        }
        SYS(SYS_waitpid, pid, &status, 0);
        good += status == (int)(2 * i) << 8;
    }
    CHECK("forks", good, 40);
}

static void test_exec(void)
{
    static const char *const argv[] = { "/bin/busybox", "test", "abc", "=", "abc", NULL };
    unsigned good = 0;

    for (unsigned i = 0; i < 10; i++) {
        int status = -1;
        long pid = SYS(SYS_fork, 0, 0, 0);

        if (pid == 0) {
            SYS(SYS_execve, argv[0], argv, NULL);
            SYS(SYS_exit, 99, 0, 0);
        }
        SYS(SYS_waitpid, pid, &status, 0);
        good += status == 0;
    }
    CHECK("execs", good, 10);
}

static void test(void)
{
    test_pipe();
    test_many();
    test_exec();
}
