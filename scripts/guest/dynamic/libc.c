/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A dynamically linked program on the distribution's own C library: symbols bound lazily by its dynamic linker,
 * functions chosen by CPUID, system calls through the vDSO, threads with locks and thread-local storage, signals,
 * fork and posix_spawn.
 *
 * What is needed of the library is declared here, so that neither its headers nor its start files need be installed; objects
 * of its types are words enough, zero being their static initializer. The exit status is the number of failed checks.
 */
#include <stddef.h>
#include <stdint.h>

enum { THREADS = 4, ROUNDS = 3000, NUMBERS = 20000, SIGALRM = 14, ITIMER_REAL = 0 };

struct words { unsigned word[16]; };
struct interval { long every[2], first[2]; };

int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int snprintf(char *s, size_t n, const char *format, ...) __attribute__((format(printf, 3, 4)));
int fflush(void *file);
int strcmp(const char *a, const char *b);
char *strstr(const char *s, const char *what);
size_t strlen(const char *s);
void *memset(void *p, int c, size_t n);
void *malloc(size_t n);
void *realloc(void *p, size_t n);
void free(void *p);
void qsort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *));
void *fopen(const char *path, const char *mode);
size_t fread(void *buf, size_t size, size_t n, void *file);
int fclose(void *file);
void *popen(const char *command, const char *mode);
int pclose(void *file);
void *dlopen(const char *path, int how);
void *dlsym(void *handle, const char *name);
int fork(void);
int waitpid(int pid, int *status, int options);
void exit(int status) __attribute__((noreturn));
void _exit(int status) __attribute__((noreturn));
int on_exit(void (*f)(int, void *), void *arg);
void (*signal(int number, void (*handler)(int)))(int);
int setitimer(int which, const struct interval *now, struct interval *old);
int pthread_create(unsigned long *thread, const void *attr, void *(*start)(void *), void *arg);
int pthread_join(unsigned long thread, void **result);
int pthread_mutex_lock(struct words *mutex);
int pthread_mutex_unlock(struct words *mutex);
int pthread_cond_wait(struct words *cond, struct words *mutex);
int pthread_cond_broadcast(struct words *cond);

/* As the ABI has it: the stack holds argc and argv, EDX what to call at exit. */
asm(".globl _start\n"
    "_start:\n\t"
    "xorl %ebp, %ebp\n\t"
    "popl %esi\n\t"
    "movl %esp, %ecx\n\t"
    "andl $-16, %esp\n\t"
    "pushl %eax\n\t"
    "pushl %esp\n\t"
    "pushl %edx\n\t"
    "pushl $0\n\t"
    "pushl $0\n\t"
    "pushl %ecx\n\t"
    "pushl %esi\n\t"
    "pushl $main\n\t"
    "call __libc_start_main\n\t"
    "hlt");

static unsigned failures;

static void check(const char *name, int good)
{
    printf("%s libc-%s\n", good ? "ok" : "FAIL", name);
    failures += !good;
}

/* --- threads --- */

static struct words lock, turn_came;
static unsigned turn, guarded;
static __thread unsigned own = 7, mine[8];

/* Blocks of changing sizes, each full of its owner's letter. */
static int heap_works(unsigned number)
{
    unsigned char *p = NULL;
    int good = 1;

    for (unsigned n = 1; n < 60000; n = n * 3 + 1) {
        p = realloc(p, n);
        for (unsigned i = n / 3; i-- > 0;)
            good &= n < 4 || p[i] == 'a' + number;
        memset(p, (int)('a' + number), n);
    }
    free(p);
    return good;
}

static void *thread(void *arg)
{
    unsigned number = (unsigned)(uintptr_t)arg;
    int good = own == 7 && heap_works(number);

    for (unsigned i = 0; i < ROUNDS; i++) {
        own++;
        mine[i % 8] += number;
        pthread_mutex_lock(&lock);
        guarded++;
        pthread_mutex_unlock(&lock);
    }
    for (unsigned i = 0; i < 50; i++) { /* one after the other */
        pthread_mutex_lock(&lock);
        while (turn % THREADS != number)
            pthread_cond_wait(&turn_came, &lock);
        turn++;
        pthread_cond_broadcast(&turn_came);
        pthread_mutex_unlock(&lock);
    }
    for (unsigned i = 0; i < 8; i++)
        good &= mine[i] == number * ROUNDS / 8;
    return (void *)(uintptr_t)(good && own == 7 + ROUNDS ? 1000 + number : 0);
}

static void threads(void)
{
    unsigned long id[THREADS];
    void *result;
    int good = 1;

    for (unsigned i = 0; i < THREADS; i++)
        good &= !pthread_create(&id[i], NULL, thread, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < THREADS; i++)
        good &= !pthread_join(id[i], &result) && (uintptr_t)result == 1000 + i;
    check("threads", good);
    check("mutex", guarded == THREADS * ROUNDS);
    check("condition", turn == THREADS * 50);
    check("own-tls", own == 7 && !mine[1]);
}

/* --- one thread --- */

static int ascending(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return (x > y) - (x < y);
}

static void sorting(void)
{
    unsigned *n = malloc(NUMBERS * sizeof *n), x = 1, before = 0, after = 0;
    int good = 1;

    for (unsigned i = 0; i < NUMBERS; i++)
        before += n[i] = x = x * 1664525 + 1013904223;
    qsort(n, NUMBERS, sizeof *n, ascending);
    for (unsigned i = 0; i < NUMBERS; i++) {
        after += n[i];
        good &= !i || n[i - 1] <= n[i];
    }
    check("qsort", good && before == after);
    free(n);
}

static void text(void)
{
    char buf[64];
    size_t (*length)(const char *);

    snprintf(buf, sizeof buf, "%d %08x %.6f %s %lld", -5, 0xbeefu, 2.0 / 3.0, "btvmm", 1ll << 40);
    check("printf", !strcmp(buf, "-5 0000beef 0.666667 btvmm 1099511627776"));
    length = (size_t (*)(const char *))dlsym(dlopen(NULL, 1), "strlen");
    check("dlsym", length && length(buf) == 40 && strlen(buf) == 40);
}

/* Is it this library that runs, and not something linked in? */
static void maps(void)
{
    static char buf[16384];
    void *file = fopen("/proc/self/maps", "r");

    if (file) {
        fread(buf, 1, sizeof buf - 1, file);
        fclose(file);
    }
    check("mapped", strstr(buf, "/lib/libc.so.6") && strstr(buf, "/lib/ld-linux.so.2"));
}

static volatile int alarms;

static void on_alarm(int number)
{
    alarms += number == SIGALRM;
}

static void signals(void)
{
    static const struct interval fast = {{0, 5000}, {0, 5000}}, off;
    volatile double x = 1;

    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &fast, NULL);
    while (alarms < 5)
        x = x * 1.0000001;
    setitimer(ITIMER_REAL, &off, NULL);
    check("signals", x > 1);
}

static void at_exit(int status, void *arg)
{
    _exit(arg ? status + 32 : 0);
}

static void processes(void)
{
    char buf[16] = "";
    void *file;
    int status = 0, pid;

    fflush(NULL);
    pid = fork();
    if (!pid) {
        on_exit(at_exit, &status);
        exit(1);
    }
    check("fork", pid > 0 && waitpid(pid, &status, 0) == pid && status == 33 << 8);
    file = popen("echo spawned; exit 5", "r");
    check("popen", file && fread(buf, 1, sizeof buf - 1, file) == 8 && !strcmp(buf, "spawned\n"));
    check("pclose", file && pclose(file) == 5 << 8);
}

int main(void)
{
    maps();
    text();
    sorting();
    threads();
    signals();
    processes();
    return (int)failures;
}
