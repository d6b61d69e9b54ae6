/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scenarios of direct execution for world_proc_monitor.c: monitor code, run in a forked kernel view.
 */
#include "tests/unit/world_proc_monitor.h"

#include "base/assert.h"
#include "cpu/gmem.h"
#include "cpu/segment.h"
#include "world/proc/uview.h"

#define CODE_GLA 0x08048000u
#define CODE_GPA 0x10000u
#define DATA_GLA 0x08100000u
#define DATA_GPA 0x20000u

/* The guest's memory as user code sees it: two runs. */
void *gmem_seen(struct vcpu *v, gla_t gla, unsigned len, unsigned access)
{
    (void)v, (void)gla, (void)len, (void)access;
    return NULL;
}

bool gmem_read(struct vcpu *v, gla_t gla, void *buf, unsigned len, unsigned access, struct fault *f)
{
    (void)access;
    if (gla < CODE_GLA || gla + len > CODE_GLA + 0x10000)
        return fault_set(f, VEC_PF, true, 0);
    memcpy(buf, v->vm->ram + CODE_GPA + (gla - CODE_GLA), len);
    return true;
}

/* The guest's descriptor tables: 0x33 is thread-local storage, 0x7b flat data. */
bool seg_load(struct vcpu *v, unsigned seg, uint16_t sel, struct fault *f)
{
    struct seg s = seg_flat_data();

    s.sel = sel;
    if (sel == 0x33)
        s.base = DATA_GLA + 0x800;
    else if (!(sel & ~3))
        s = (struct seg){ .sel = sel };
    else if (sel != 0x7b)
        return fault_gp(f, sel & ~3u);
    v->seg[seg] = s;
    return true;
}

static void user_prepare(struct vm *vm, const char *code, unsigned n)
{
    struct vcpu *v = vm->vcpu;

    v->attention = 0;
    memcpy(vm->ram + CODE_GPA, code, n);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        v->seg[i] = seg_flat_data();
        v->seg[i].sel = 0x7b;
    }
    v->seg[SEG_CS].attr |= SEG_ATTR_CODE;
    v->seg[SEG_CS].sel = 0x73;
    v->seg[SEG_GS].sel = 0x33;
    v->seg[SEG_GS].base = DATA_GLA + 0x800;
    v->seg[SEG_FS] = (struct seg){ 0 };
    REGS_SET(v);
    v->eflags = EFLAGS_FIXED | EFLAGS_IF | EFLAGS_CF | EFLAGS_OF | EFLAGS_DF;
    v->eip = CODE_GLA;
}

static void user_maps(struct vm *vm, unsigned view)
{
    world_map(vm, view, CODE_GLA, CODE_GPA, 16, MAP_R | MAP_X);
    world_map(vm, view, DATA_GLA, DATA_GPA, 16, MAP_R | MAP_W);
}

static bool user_runs(struct vm *vm, const char *code, unsigned n, uint32_t kind, uint32_t vec, uint32_t err,
                      uint32_t cr2, uint32_t eip)
{
    struct vcpu *v = vm->vcpu;

    user_prepare(vm, code, n);
    world_enter_direct(v, 1);
    return v->exit.kind == kind && (kind == EXIT_ATTENTION || v->exit.vec == vec) &&
           (kind != EXIT_FAULT || v->exit.err == err) && (vec != VEC_PF || v->exit.cr2 == cr2) &&
           v->eip == eip && regs_are(v) && (v->eflags & EFLAGS_ARITH) == (EFLAGS_CF | EFLAGS_OF);
}
#define RUNS(code, kind, vec, err, cr2, off)                                                                 \
    user_runs(vm, code, sizeof(code) - 1, kind, vec, err, cr2, CODE_GLA + (off))

void run_direct(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;

    CHECK(world_direct_views(vm) >= 2);
    user_maps(vm, 1);
    CHECK(RUNS("\x8b\x05\x00\x00\x34\x12", EXIT_FAULT, VEC_PF, PFERR_U, 0x12340000, 0));
    CHECK(RUNS("\x8b\x05\x00\x00\x00\xc0", EXIT_FAULT, VEC_PF, PFERR_U, 0xc0000000, 0)); /* not truncated */
    CHECK(RUNS("\x0f\x0b", EXIT_FAULT, VEC_UD, 0, 0, 0));
    CHECK(RUNS("\xf4", EXIT_FAULT, VEC_GP, 0, 0, 0));
    CHECK(RUNS("\x90\xcd\x80", EXIT_SOFTINT, 0x80, 0, 0, 3));
    CHECK(RUNS("\x90\xcd\x42", EXIT_SOFTINT, 0x42, 0, 0, 3));
    CHECK(RUNS("\x90\xcc", EXIT_FAULT, VEC_BP, 0, 0, 1));
    CHECK(RUNS("\xce", EXIT_FAULT, VEC_OF, 0, 0, 0));
    /* Stores through DS, %gs with its base, and back. */
    memset(vm->ram + DATA_GPA, 0, 0x1000);
    CHECK(RUNS("\xa3\x00\x00\x10\x08\x65\xa3\x14\x00\x00\x00\xcd\x80", EXIT_SOFTINT, 0x80, 0, 0, 13));
    CHECK(get32(vm->ram + DATA_GPA) == 0x11111111 && get32(vm->ram + DATA_GPA + 0x814) == 0x11111111);
    /* Negative offsets of thread-local storage. */
    CHECK(RUNS("\x65\xa3\xfc\xff\xff\xff\xcd\x80", EXIT_SOFTINT, 0x80, 0, 0, 8));
    CHECK(get32(vm->ram + DATA_GPA + 0x7fc) == 0x11111111);
    /* The code's page is not writable. */
    CHECK(RUNS("\xa3\x00\x80\x04\x08", EXIT_FAULT, VEC_PF, PFERR_U | PFERR_W | PFERR_P, 0x08048000, 0));
    /* Another view is another address space. */
    user_prepare(vm, "\xcd\x80", 2);
    world_enter_direct(v, 2);
    CHECK(v->exit.kind == EXIT_FAULT && v->exit.vec == VEC_PF && v->exit.cr2 == CODE_GLA && v->eip == CODE_GLA);
    user_maps(vm, 2);
    world_enter_direct(v, 2);
    CHECK(v->exit.kind == EXIT_SOFTINT && v->exit.vec == 0x80);
    /* Protection and unmapping take effect before the next run. */
    CHECK(world_protect(vm, 1, DATA_GLA, 1, MAP_R));
    CHECK(RUNS("\xa3\x00\x00\x10\x08", EXIT_FAULT, VEC_PF, PFERR_U | PFERR_W | PFERR_P, DATA_GLA, 0));
    CHECK(world_unmap(vm, 1, DATA_GLA, 1));
    CHECK(RUNS("\xa3\x00\x00\x10\x08", EXIT_FAULT, VEC_PF, PFERR_U | PFERR_W, DATA_GLA, 0));
    /* More orders than the queue holds. */
    for (uint32_t i = 0; i < 3000; i++)
        CHECK(world_map(vm, 1, 0x40000000 + 0x2000 * i, DATA_GPA, 1, MAP_R | MAP_W));
    CHECK(RUNS("\xa3\x00\xe0\x76\x41\xcd\x80", EXIT_SOFTINT, 0x80, 0, 0, 7));
    CHECK(world_unmap(vm, 1, 0x40000000, 0x2000));
    CHECK(RUNS("\xa3\x00\xe0\x76\x41\xcd\x80", EXIT_FAULT, VEC_PF, PFERR_U | PFERR_W, 0x4176e000, 0));
}

/* Selectors that user code loads by itself. */
void run_direct_segments(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;

    user_maps(vm, 1);
    /* Null into FS and GS: the guest's registers follow. */
    user_prepare(vm, "\x31\xc0\x8e\xe0\x8e\xe8\xcd\x80", 8);
    world_enter_direct(v, 1);
    CHECK(v->exit.kind == EXIT_SOFTINT && !(v->seg[SEG_GS].attr & SEG_ATTR_P) && v->seg[SEG_GS].sel == 0);
    /* mov $0x33, %eax; mov %eax, %gs: the host's 0x33 has base 0, so the load faults; with the guest's base
     * it works. */
    v->seg[SEG_GS] = (struct seg){ 0 };
    memcpy(vm->ram + CODE_GPA, "\xb8\x33\0\0\0\x8e\xe8\x65\xa1\x14\0\0\0\xcd\x80", 15);
    put32(vm->ram + DATA_GPA + 0x814, 0xabcdef01);
    v->eip = CODE_GLA;
    world_enter_direct(v, 1);
    CHECK(v->exit.kind == EXIT_ATTENTION && v->eip == CODE_GLA + 7 && v->seg[SEG_GS].base == DATA_GLA + 0x800);
    world_enter_direct(v, 1);
    CHECK(v->exit.kind == EXIT_SOFTINT && v->gpr[REG_EAX] == 0xabcdef01);
    /* push %ds; pop %es reads and loads the view's own selector. */
    user_prepare(vm, "\x1e\x07\xcd\x80", 4);
    v->gpr[REG_ESP] = DATA_GLA + 0x1000;
    world_enter_direct(v, 1);
    CHECK(v->exit.kind == EXIT_SOFTINT && v->seg[SEG_ES].sel == 0x7b);
    /* A selector that the host refuses. */
    user_prepare(vm, "\xb8\x73\0\0\0\x8e\xc0", 7);
    world_enter_direct(v, 1);
    CHECK(v->exit.kind == EXIT_FAULT && v->exit.vec == VEC_GP && v->exit.err == 0x70 && v->eip == CODE_GLA + 5);
    /* A limit of its own. */
    user_prepare(vm, "\x65\xa0\xff\x0f\0\0\x65\xa0\0\x10\0\0", 12);
    v->seg[SEG_GS].limit = 0xfff;
    world_enter_direct(v, 1);
    CHECK(v->exit.kind == EXIT_FAULT && v->exit.vec == VEC_GP && v->eip == CODE_GLA + 6);
    /* Not expressible: not entered. */
    v->seg[SEG_DS].base = 16;
    world_enter_direct(v, 1);
    CHECK(v->exit.kind == EXIT_NONE);
}

void run_direct_attention(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;
    uint64_t t0, t1;

    user_maps(vm, 1);
    for (unsigned i = 0; i < 50; i++) {
        user_prepare(vm, "\xeb\xfe", 2);
        t0 = world_now(vm);
        world_set_alarm(vm, t0 + 20000 + i * 1000);
        world_enter_direct(v, 1);
        t1 = world_now(vm);
        CHECK(v->exit.kind == EXIT_ATTENTION || v->exit.kind == EXIT_NONE);
        CHECK(v->attention && v->eip == CODE_GLA && regs_are(v) && t1 - t0 < 500000000);
    }
}

/* Alarms of all lengths around short runs: none may be lost. */
void run_direct_storm(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;
    uint64_t seed = 7;

    user_maps(vm, 1);
    user_prepare(vm, "\xcd\x80", 2);
    for (unsigned i = 0; i < 1500; i++) {
        uint64_t until;

        seed = seed * 6364136223846793005ull + 1;
        v->attention = 0;
        until = world_now(vm) + 1000 + (seed >> 33) % 50000;
        world_set_alarm(vm, until);
        while (!v->attention && world_now(vm) < until + 1000000000) {
            v->eip = CODE_GLA;
            world_enter_direct(v, 1);
            CHECK(v->exit.kind == EXIT_SOFTINT || v->exit.kind == EXIT_ATTENTION || v->exit.kind == EXIT_NONE);
            CHECK(regs_are(v));
        }
        CHECK(v->attention);
    }
}

/* FPU state travels with the turn, both ways. */
void run_direct_fpu(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;
    uint8_t code[64], *p = code;

    user_maps(vm, 1);
    for (unsigned i = 0; i < 64; i++)
        vm->ram[DATA_GPA + i] = (uint8_t)(3 * i + 1);
    /* vmovdqu DATA, %ymm5; fldpi; int $0x80; vmovdqu %ymm5, DATA+64; fstpl DATA+128; int $0x80 */
    memcpy(p, "\xc5\xfe\x6f\x2d", 4), put32(p + 4, DATA_GLA), p += 8;
    memcpy(p, "\xd9\xeb\xcd\x80", 4), p += 4;
    memcpy(p, "\xc5\xfe\x7f\x2d", 4), put32(p + 4, DATA_GLA + 64), p += 8;
    memcpy(p, "\xdd\x1d", 2), put32(p + 2, DATA_GLA + 128), p += 6;
    memcpy(p, "\xcd\x80", 2), p += 2;
    user_prepare(vm, (char *)code, (unsigned)(p - code));
    world_enter_direct(v, 1);
    CHECK(v->exit.kind == EXIT_SOFTINT);
    world_fence_begin(vm);
    __asm__ volatile("vpxor %%ymm5, %%ymm5, %%ymm5; fninit" : : : "memory");
    world_fence_end(vm);
    /* On through another view, so that its own stale state would show. */
    user_maps(vm, 2);
    world_enter_direct(v, 2);
    CHECK(v->exit.kind == EXIT_SOFTINT);
    CHECK(!memcmp(vm->ram + DATA_GPA, vm->ram + DATA_GPA + 64, 32));
    CHECK(get64(vm->ram + DATA_GPA + 128) == 0x400921fb54442d18ull);
}

/*
 * User code that escapes into 64-bit code.  `how` is 64-bit code at CODE_GLA + 16; it must not get at what it
 * wants, and the VM must stop rather than go on.
 */
static void escape(struct vm *vm, const char *how, unsigned n)
{
    struct vcpu *v = vm->vcpu;

    user_maps(vm, 1);
    user_prepare(vm, "\xea\x10\x80\x04\x08\x33\x00", 7); /* ljmp $0x33, $CODE_GLA + 16 */
    memcpy(vm->ram + CODE_GPA + 16, how, n);
    world_enter_direct(v, 1);
}

void run_escape_fault(struct vm *vm) { escape(vm, "\x0f\x0b", 2); }

void run_escape_getpid(struct vm *vm) { escape(vm, "\xb8\x27\0\0\0\x0f\x05\x0f\x0b", 9); }

/* mmap guest RAM's page 0 over the data without a cookie. */
void run_escape_mmap(struct vm *vm)
{
    escape(vm,
           "\xbf\0\0\x10\x08"       /* mov $DATA_GLA, %edi */
           "\xbe\0\x10\0\0"         /* mov $4096, %esi */
           "\xba\3\0\0\0"           /* mov $3, %edx */
           "\x41\xba\x11\0\0\0"     /* mov $MAP_SHARED|MAP_FIXED, %r10d */
           "\x41\xb8\3\0\0\0"       /* mov $3, %r8d */
           "\x45\x31\xc9"           /* xor %r9d, %r9d */
           "\xb8\x09\0\0\0\x0f\x05" /* mmap */
           "\x0f\x0b",
           40);
}

/* Spin in 64-bit code: the alarm must get us out. */
void run_escape_spin(struct vm *vm)
{
    do {
        world_set_alarm(vm, world_now(vm) + 5000000);
        escape(vm, "\xeb\xfe", 2);
    } while (vm->vcpu->exit.kind == EXIT_NONE || vm->vcpu->exit.kind == EXIT_ATTENTION);
}

/* mprotect, a legacy system call and SYSENTER from 64-bit code. */
void run_escape_mprotect(struct vm *vm)
{
    escape(vm, "\xbf\0\x80\x04\x08\xbe\0\x10\0\0\xba\7\0\0\0\xb8\x0a\0\0\0\x0f\x05\x0f\x0b", 24);
}
void run_escape_int80(struct vm *vm) { escape(vm, "\xb8\x14\0\0\0\xcd\x80\x0f\x0b", 9); }

/*
 * Block our signals by a forged frame for rt_sigreturn, which needs no cookie, and spin: in 64-bit code, or back in
 * the code segment where user code belongs.
 */
static void escape_deaf(struct vm *vm, bool back)
{
    struct sig_ucontext uc = { .flags = 4, .sigmask = ~0ull }; /* UC_STRICT_RESTORE_SS */

    user_maps(vm, 1);
    uc.mc.ip = CODE_GLA + 0x200;
    uc.mc.cs = back ? ULDT_CS : vm->world->cs64;
    uc.mc.ss = ULDT_FLAT;
    uc.mc.sp = DATA_GLA + 0x800;
    uc.mc.flags = EFLAGS_FIXED | EFLAGS_IF;
    memcpy(vm->ram + DATA_GPA, &uc, sizeof uc);
    memcpy(vm->ram + CODE_GPA + 0x200, "\xeb\xfe", 2);
    do {
        world_set_alarm(vm, world_now(vm) + 5000000);
        /* mov $DATA_GLA, %esp; mov $15, %eax; syscall */
        escape(vm, "\xbc\0\0\x10\x08\xb8\x0f\0\0\0\x0f\x05\x0f\x0b", 14);
    } while (!vm->stop && (vm->vcpu->exit.kind == EXIT_NONE || vm->vcpu->exit.kind == EXIT_ATTENTION)); /* too early */
}
void run_escape_deaf(struct vm *vm) { escape_deaf(vm, false); }
void run_escape_deaf_back(struct vm *vm) { escape_deaf(vm, true); }

/* The host's flat segments in a data register: nothing of the guest's kernel is there, and the VM ends. */
static void host_selector(struct vm *vm, const char *code, unsigned n)
{
    struct vcpu *v = vm->vcpu;

    user_maps(vm, 1);
    CHECK(world_map(vm, 0, 0xb0000000, DATA_GPA, 1, MAP_R | MAP_W)); /* the kernel view has it */
    put32(vm->ram + DATA_GPA, 0x5ec4e7);
    user_prepare(vm, code, n);
    world_enter_direct(v, 1);
    CHECK(v->gpr[REG_EBX] != 0x5ec4e7 && v->exit.kind != EXIT_SOFTINT);
}

/* mov $SEL, %eax; mov %eax, %ds; mov 0xb0000000, %ebx; int $0x80 */
void run_host_selector_2b(struct vm *vm)
{
    host_selector(vm, "\xb8\x2b\0\0\0\x8e\xd8\x8b\x1d\0\0\0\xb0\xcd\x80", 15);
}
void run_host_selector_33(struct vm *vm)
{
    host_selector(vm, "\xb8\x33\0\0\0\x8e\xc0\x26\x8b\x1d\0\0\0\xb0\xcd\x80", 16);
}

/* Wreck the stack pointer and touch unmapped memory above 4 GiB: movabs $0x555555554000, %rsp; push. */
void run_escape_touch(struct vm *vm) { escape(vm, "\x48\xbc\0\x40\x55\x55\x55\x55\0\0\x50", 11); }

/*
 * WRPKRU that denies all keys.  A read then faults, and when it runs again it does not; and what runs next in the
 * view is free of it.
 */
#define DENY_KEYS "\xb8\xff\xff\xff\xff\x31\xc9\x31\xd2\x0f\x01\xef" /* mov $-1, %eax; xor %ecx and %edx; wrpkru */
#define READ "\xa1\0\0\x10\x08\xcd\x80"                              /* mov DATA_GLA, %eax; int $0x80 */
#define PFERR_PK BIT(5)

void run_direct_keys(struct vm *vm)
{
    struct vcpu *v = vm->vcpu;

    user_maps(vm, 1);
    put32(vm->ram + DATA_GPA, 0x0ddba11);
    user_prepare(vm, READ, 7);
    world_enter_direct(v, 1); /* from now on it is present in the view's page table */
    for (unsigned i = 0; i < 3; i++) {
        user_prepare(vm, DENY_KEYS READ, 19);
        world_enter_direct(v, 1);
        CHECK(v->exit.kind == EXIT_FAULT && v->exit.vec == VEC_PF && v->eip == CODE_GLA + 12);
        CHECK(v->exit.err == (PFERR_PK | PFERR_U | PFERR_P) && v->exit.cr2 == DATA_GLA);
        world_enter_direct(v, 1);
        CHECK(v->exit.kind == EXIT_SOFTINT && v->gpr[REG_EAX] == 0x0ddba11);
        user_prepare(vm, DENY_KEYS "\xcd\x80", 14);
        world_enter_direct(v, 1);
        CHECK(v->exit.kind == EXIT_SOFTINT && v->gpr[REG_EAX] == 0xffffffff);
        user_prepare(vm, READ, 7);
        world_enter_direct(v, 1);
        CHECK(v->exit.kind == EXIT_SOFTINT && v->gpr[REG_EAX] == 0x0ddba11);
    }
}

/* A user view that the host kills takes the VM with it, whoever has the turn. */
void run_direct_kill(struct vm *vm)
{
    struct uview *u = &vm->world->u->view[0];

    user_maps(vm, 1);
    user_prepare(vm, "\xeb\xfe", 2);
    sys3(SYS_NR_tgkill, u->pid, u->pid, 9);
    world_enter_direct(vm->vcpu, 1);
    while (!vm->stop)
        world_idle(vm, world_now(vm) + 1000000);
}

void run_direct_timing(struct vm *vm)
{
    enum { N = 20000 };
    struct vcpu *v = vm->vcpu;
    uint32_t *out = (uint32_t *)vm->cross->dump;
    uint64_t t;

    user_maps(vm, 1);
    user_prepare(vm, "\xcd\x80", 2);
    world_enter_direct(v, 1);
    t = tsc();
    for (unsigned i = 0; i < N; i++) {
        v->eip = CODE_GLA;
        world_enter_direct(v, 1);
    }
    out[0] = (uint32_t)((tsc() - t) / N);
    user_prepare(vm, "\xa1\0\0\x34\x12", 5);
    t = tsc();
    for (unsigned i = 0; i < N; i++)
        world_enter_direct(v, 1);
    out[1] = (uint32_t)((tsc() - t) / N);
    t = tsc();
    for (unsigned i = 0; i < N; i++) {
        world_map(vm, 1, 0x30000000, DATA_GPA, 1, MAP_R);
        world_enter_direct(v, 1);
    }
    out[2] = (uint32_t)((tsc() - t) / N);
}
