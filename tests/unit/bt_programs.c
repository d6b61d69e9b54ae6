/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest programs, run once by the interpreter and once translated on the emulated CPU of tests/fake/world_bt.c, with
 * attentions at every TC instruction and hidden faults at random ones: the same guest state comes of it.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "cpu/interp.h"
#include "tests/fake/rnd.h"
#include "tests/fake/world_bt.h"

#define CODE 0x10000u
#define V (&fake_bt.vcpu)
#define CODE_IS(at, s) fake_bt_code(at, s, sizeof(s) - 1)

struct program {
    const char *name;
    const uint8_t *code;
    unsigned len;
};

/* Assembled by hand; all end in HLT with IF = 0 and use a stack at 0x80000 and data at 0x40000. */
static const uint8_t prog_calls[] = {
    0xb9, 0x20, 0x00, 0x00, 0x00,             /* mov $32, %ecx */
    0xbf, 0x00, 0x00, 0x04, 0x00,             /* mov $0x40000, %edi */
    0xe8, 0x06, 0x00, 0x00, 0x00,             /* 1: call f */
    0x49,                                     /* dec %ecx */
    0x75, 0xf8,                               /* jnz 1b */
    0xfa, 0xf4,                               /* cli; hlt */
    0x90,
    0x51,                                     /* f: push %ecx */
    0x9c,                                     /* pushf */
    0x8f, 0x07,                               /* pop (%edi) */
    0x83, 0xc7, 0x04,                         /* add $4, %edi */
    0xff, 0x34, 0x24,                         /* push (%esp) */
    0x58,                                     /* pop %eax */
    0xf9,                                     /* stc */
    0x9c, 0x9d,                               /* pushf; popf */
    0x11, 0xc3,                               /* adc %eax, %ebx */
    0x59,                                     /* pop %ecx */
    0xc3,                                     /* ret */
};
static const uint8_t prog_indirect[] = {
    0xb9, 0x10, 0x00, 0x00, 0x00,             /* mov $16, %ecx */
    0xb8, 0x18, 0x00, 0x01, 0x00,             /* 1: mov $CODE+0x18, %eax */
    0xff, 0xd0,                               /* call *%eax */
    0x8d, 0x05, 0x1c, 0x00, 0x01, 0x00,       /* lea CODE+0x1c, %eax */
    0xff, 0xe0,                               /* jmp *%eax */
    0x0f, 0x0b, 0x90, 0x90,                   /* ud2 */
    0x43,                                     /* CODE+0x18: inc %ebx */
    0xc2, 0x00, 0x00,                         /* ret $0 */
    0x49,                                     /* CODE+0x1c: dec %ecx */
    0xe3, 0x02,                               /* jecxz +2 */
    0xeb, 0xe4,                               /* jmp 1b */
    0xfa, 0xf4,                               /* cli; hlt */
};
static const uint8_t prog_flags[] = {
    0xfb, 0x90, 0x9c, 0x58,                   /* sti; nop; pushf; pop %eax */
    0xfa, 0x9c, 0x5b,                         /* cli; pushf; pop %ebx */
    0x50, 0x9d, 0x9c, 0x59,                   /* push %eax; popf; pushf; pop %ecx */
    0x68, 0x02, 0x00, 0x24, 0x00,             /* push $0x240002 (ID, AC bit not): ID */
    0x9d, 0x9c, 0x5a,                         /* popf; pushf; pop %edx */
    0x68, 0xd7, 0x0c, 0x00, 0x00, 0x9d,       /* push $0xcd7; popf: all arithmetic flags and DF */
    0x9c, 0x5e,                               /* pushf; pop %esi */
    0xfc, 0xfa,                               /* cld; cli */
    0x1e, 0x16, 0x06, 0x8c, 0xdd,             /* push %ds, %ss, %es; mov %ds, %ebp */
    0x5f, 0x5f, 0x5f,                         /* pop %edi three times */
    0xf4,
};
static const uint8_t prog_strings[] = {
    0xbe, 0x00, 0x00, 0x01, 0x00,             /* mov $CODE, %esi */
    0xbf, 0x00, 0x00, 0x04, 0x00,             /* mov $0x40000, %edi */
    0xb9, 0x40, 0x00, 0x00, 0x00,             /* mov $64, %ecx */
    0xf3, 0xa4,                               /* rep movsb */
    0x60, 0x61, 0xc8, 0x10, 0x00, 0x01, 0xc9, /* pusha; popa; enter $16, $1; leave */
    0xb0, 0x33, 0xb9, 0x10, 0x20, 0x00, 0x00, /* mov $0x33, %al; mov $0x2010, %ecx */
    0xf3, 0xaa,                               /* rep stosb over pages */
    0xfa, 0xf4,
};
/* Writes an immediate in its own TU, in another TU, and behind itself. */
static const uint8_t prog_smc[] = {
    0xb9, 0x08, 0x00, 0x00, 0x00,             /* mov $8, %ecx */
    0xc6, 0x05, 0x0d, 0x00, 0x01, 0x00, 0x07, /* 5: movb $7, CODE+0xd: the immediate of the next */
    0xb8, 0x01, 0x00, 0x00, 0x00,             /* c: mov $1, %eax */
    0x01, 0xc3,                               /* 11: add %eax, %ebx */
    0x88, 0x0d, 0x1a, 0x00, 0x01, 0x00,       /* 13: mov %cl, CODE+0x1a */
    0x83, 0xc2, 0x01,                         /* 19: add $1, %edx */
    0xe8, 0x05, 0x00, 0x00, 0x00,             /* 1b... */
    0x49,
    0x75, 0xe2,
    0xfa, 0xf4,
    0xfe, 0x05, 0x2d, 0x00, 0x01, 0x00,       /* incb CODE+0x2d */
    0x6a, 0x01, 0x58, 0xc3,                   /* push $1; pop %eax; ret */
};

/* Segment loads, INT through a gate that returns, and a fault that does not. */
static const uint8_t prog_segments[] = {
    0xc7, 0x05, 0x00, 0x38, 0x00, 0x00, 0x45, 0xcf, 0x00, 0x00, /* movl $(inc %ebp; iret), handler of 0x80 */
    0x8c, 0xd8, 0x8e, 0xc0,                   /* mov %ds, %eax; mov %eax, %es */
    0x1e, 0x0f, 0xa1,                         /* push %ds; pop %fs */
    0x16, 0x1f, 0x06, 0x07,                   /* push %ss; pop %ds; push %es; pop %es */
    0x64, 0x8b, 0x1d, 0x00, 0x00, 0x01, 0x00, /* mov %fs:CODE, %ebx */
    0xfb, 0xcd, 0x80,                         /* sti; int $0x80 */
    0x9c, 0x59,                               /* pushf; pop %ecx */
    0x9c, 0x0e, 0x68, 0x2a, 0x00, 0x01, 0x00, 0xcf, /* pushf; push %cs; push $1f; iret */
    0x90,
    0x31, 0xd2, 0x8e, 0xea,                   /* 2a: xor %edx, %edx; mov %edx, %gs */
    0x65, 0x8b, 0x02,                         /* mov %gs:(%edx), %eax: #GP, HLT */
};

/* Data in the last 64 KiB, where no segment reaches, and as often elsewhere, by the same instructions. */
static const uint8_t prog_window[] = {
    0xb9, 0x07, 0x00, 0x00, 0x00,             /* mov $0x7,%ecx */
    0xbe, 0x40, 0x00, 0xff, 0xff,             /* mov $0xffff0040,%esi */
    0xf7, 0xc1, 0x03, 0x00, 0x00, 0x00,       /* test $0x3,%ecx */
    0x75, 0x05,                               /* jne 0x17 */
    0xbe, 0x40, 0x00, 0x04, 0x00,             /* mov $0x40040,%esi */
    0x89, 0x0e,                               /* mov %ecx,(%esi) */
    0x8b, 0x46, 0x04,                         /* mov 0x4(%esi),%eax */
    0x01, 0x46, 0x08,                         /* add %eax,0x8(%esi) */
    0x81, 0x56, 0x0c, 0x44, 0x33, 0x22, 0x11, /* adcl $0x11223344,0xc(%esi) */
    0x9c,                                     /* pushf */
    0x8f, 0x46, 0x10,                         /* pop 0x10(%esi) */
    0x0f, 0xb6, 0x5e, 0x09,                   /* movzbl 0x9(%esi),%ebx */
    0xf0, 0x0f, 0xc1, 0x5e, 0x14,             /* lock xadd %ebx,0x14(%esi) */
    0x0f, 0xc7, 0x4e, 0x18,                   /* cmpxchg8b 0x18(%esi) */
    0xff, 0x44, 0x8e, 0xfc,                   /* incl -0x4(%esi,%ecx,4) */
    0xa3, 0x00, 0x01, 0xff, 0xff,             /* mov %eax,0xffff0100 */
    0x51,                                     /* push %ecx */
    0x8d, 0xbe, 0x80, 0x00, 0x00, 0x00,       /* lea 0x80(%esi),%edi */
    0xb9, 0x18, 0x00, 0x00, 0x00,             /* mov $0x18,%ecx */
    0xf3, 0xa5,                               /* rep movsl (%esi),(%edi) */
    0x8d, 0x77, 0xe2,                         /* lea -0x1e(%edi),%esi */
    0xf3, 0xa4,                               /* rep movsb (%esi),(%edi) */
    0xb1, 0x32,                               /* mov $0x32,%cl */
    0x66, 0xf3, 0xab,                         /* rep stos %ax,(%edi) */
    0x59,                                     /* pop %ecx */
    0xd1, 0x5f, 0xf8,                         /* rcrl -0x8(%edi) */
    0xff, 0x77, 0xec,                         /* push -0x14(%edi) */
    0x5a,                                     /* pop %edx */
    0x49,                                     /* dec %ecx */
    0x75, 0xa2,                               /* jne 0x5 */
    0xfa,                                     /* cli */
    0xf4,                                     /* hlt */
};

static const struct program programs[] = {
#define PROGRAM(p) {#p, p, sizeof p}
    PROGRAM(prog_calls), PROGRAM(prog_indirect), PROGRAM(prog_flags), PROGRAM(prog_strings), PROGRAM(prog_smc), PROGRAM(prog_segments),
    PROGRAM(prog_window),
};

static void put_code_segment(unsigned selector, uint32_t base, uint32_t limit)
{
    uint8_t *d = fake_bt.vm.ram + FAKE_BT_GDT + selector;

    put32(d, base << 16 | (limit & 0xffff));
    put32(d + 4, (base & 0xff000000) | 0x409b00 | (limit & 0xf0000) | (base >> 16 & 0xff));
}

struct result {
    uint32_t gpr[8], eip, eflags;
    uint8_t ram[FAKE_BT_RAM];
};

static void take_result(struct result *r)
{
    memcpy(r->gpr, V->gpr, sizeof r->gpr);
    r->eip = V->eip;
    r->eflags = V->eflags;
    memcpy(r->ram, fake_bt.vm.ram, FAKE_BT_RAM);
}

static void interpret_program(const struct program *p, struct result *r)
{
    fake_bt_new(NULL);
    fake_bt_code(CODE, p->code, p->len);
    for (unsigned i = 0; i < 100000 && !V->halted; i++)
        cr_assert_neq(interp_run_one(V), INTERP_STOP);
    cr_assert(V->halted, "%s ends", p->name);
    take_result(r);
}

static void same(const struct program *p, const struct result *want, const char *how, uint32_t n)
{
    static struct result got;

    cr_assert(V->halted, "%s %s %u: not halted, eip %#x", p->name, how, n, V->eip);
    take_result(&got);
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(got.gpr[i], want->gpr[i], "%s %s %u: gpr %u is %#x, not %#x", p->name, how, n, i, got.gpr[i],
                     want->gpr[i]);
    cr_assert_eq(got.eip, want->eip, "%s %s %u: eip %#x", p->name, how, n, got.eip);
    cr_assert_eq(got.eflags, want->eflags, "%s %s %u: eflags %#x %#x", p->name, how, n, got.eflags, want->eflags);
    cr_assert_arr_eq(got.ram, want->ram, FAKE_BT_RAM, "%s %s %u: memory", p->name, how, n);
}

/* Without disturbance; under each switch; under the lock-step checker. */
Test(bt_programs, programs)
{
    static struct result want;
    static const struct bt_options how[] = {
        {0}, {.tu_insns = 1}, {.tu_insns = 2}, {.no_chain = 1}, {.no_return_cache = 1}, {.no_indirect = 1},
        {.no_inline_if = 1}, {.no_inline_seg = 1}, {.no_inline_sys = 1}, {.inject_irq = 1}, {.check = 1},
        {.no_adapt = 1}, {.adapt_all = 1}, {.adapt_all = 1, .tu_insns = 1}, {.adapt_all = 1, .check = 1},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(programs); i++) {
        interpret_program(&programs[i], &want);
        for (unsigned h = 0; h < ARRAY_SIZE(how); h++) {
            fake_bt_new(&how[h]);
            fake_bt_code(CODE, programs[i].code, programs[i].len);
            fake_bt_run(10000);
            cr_assert_not(fake_bt.vm.stop, "%s", fake_bt.vm.stop_msg);
            same(&programs[i], &want, "option", h);
            fake_bt_consistent();
        }
    }
}

/* An instruction faults on a limit twice, and no more; where it stays within the limits it calls out no more than any other. */
Test(bt_programs, adapts)
{
    struct bt_options never = {.no_adapt = 1};
    const struct stats *s = fake_bt_new(&never)->stats;
    uint64_t accesses;

    fake_bt_code(CODE, prog_window, sizeof prog_window);
    fake_bt_run(10000);
    accesses = s->limit_faults;
    cr_expect_eq(s->window_accesses, 0);
    cr_expect_eq(s->tu_adapted, 0);
    fake_bt_new(NULL);
    fake_bt_code(CODE, prog_window, sizeof prog_window);
    fake_bt_run(10000);
    cr_expect_eq(s->tu_adapted, 13);
    cr_expect_eq(s->limit_faults + s->window_accesses, accesses);
    cr_expect_eq(s->limit_faults, 13 * 2 + 7); /* the MOV to an absolute address can't adapt */
    cr_expect_eq(s->smc_invalidations, 0);
}

/* One attention, at each TC instruction of the run in turn: the state it finds is exact. */
Test(bt_programs, attention_anywhere)
{
    static struct result want;

    for (unsigned i = 0; i < ARRAY_SIZE(programs); i++) {
        interpret_program(&programs[i], &want);
        fake_bt_new(NULL);
        fake_bt_code(CODE, programs[i].code, programs[i].len);
        fake_bt_run(10000);
        uint64_t steps = fake_bt.steps;

        for (uint32_t n = 1; n <= steps && n < 400; n++) {
            fake_bt_again();
            fake_bt_code(CODE, programs[i].code, programs[i].len);
            fake_bt.attention_in = n;
            V->attention = 0;
            bt_run(V);
            /* What it came back with goes on in the interpreter. */
            for (unsigned k = 0; k < 100000 && !V->halted; k++)
                interp_run_one(V);
            same(&programs[i], &want, "attention", n);
        }
    }
}

/* An event within a translation waits for the next boundary; a fault before that is one, and the event is not forgotten. */
Test(bt_programs, attention_before_fault)
{
    for (unsigned n = 1; n <= 6; n++) {
        fake_bt_new(NULL);
        fake_bt_vcpu(3);
        CODE_IS(CODE, "\x90\x9d\xf4");                      /* nop; popf; hlt */
        fake_bt_code(FAKE_BT_HANDLERS + 16 * VEC_PF, "\xb1\x64\xe2\xfe\xf4", 5); /* mov $100, %cl; loop .; hlt */
        V->eip = CODE;
        V->gpr[REG_ESP] = FAKE_BT_RAM;
        fake_bt.attention_in = n;
        bt_run(V);
        cr_expect(V->attention, "at instruction %u", n);
        cr_expect_eq(V->cr2 == FAKE_BT_RAM, n > 2, "at instruction %u", n);
    }
}

/*
 * The handler of an instruction's fault stands right behind it, but in another code segment: the translation that goes
 * on there is not this one's.
 */
Test(bt_programs, handler_in_another_segment)
{
    static const uint8_t code[] = {
        0xea, 0x07, 0x00, 0x00, 0x00, 0xc0, 0x00, /* ljmp $0xc0, $7: base CODE */
        0xb8, 0xd8, 0x00, 0x00, 0x00,             /* mov $0xd8, %eax */
        0x8e, 0xd8,                               /* mov %eax, %ds: #NP to 0xe */
        0x43, 0xfa, 0xf4,                         /* 0xe: inc %ebx; cli; hlt */
    };
    static const struct { uint32_t base, limit; } handler[] = {
        {CODE, 0xfffff}, {CODE + 0x100, 0xfffff}, {CODE, 0x0000e},
    };
    struct bt_options o = {.no_inline_seg = 1}; /* the interpreter loads DS, and goes on behind it */

    for (unsigned i = 0; i < ARRAY_SIZE(handler); i++) {
        struct result *r = malloc(2 * sizeof *r);

        for (unsigned translated = 0; translated < 2; translated++) {
            fake_bt_new(&o);
            fake_bt_code(CODE + 0x10e, "\x42\xfa\xf4", 3); /* inc %edx; cli; hlt */
            fake_bt_code(CODE, code, sizeof code);
            put_code_segment(0xc0, CODE, 0xfffff);
            put_code_segment(0xc8, handler[i].base, handler[i].limit);
            put32(fake_bt.vm.ram + FAKE_BT_GDT + 0xdc, 0x001200); /* data, absent */
            put32(fake_bt.vm.ram + FAKE_BT_IDT + 8 * VEC_NP, 0xc8u << 16 | 0xe);
            if (translated)
                fake_bt_run(1000);
            else
                for (unsigned n = 0; n < 1000 && !V->halted; n++)
                    interp_run_one(V);
            cr_assert(V->halted);
            take_result(&r[translated]);
        }
        cr_expect_eq(r[0].gpr[REG_EBX], i != 1);
        cr_expect_arr_eq(&r[0], &r[1], sizeof *r, "segment %u", i);
        free(r);
    }
}

static volatile uint32_t alarms; /* since the last one was armed; the second finds the first forgotten */

static void on_alarm(int sig)
{
    (void)sig;
    alarms++;
    V->attention = 1;
}

/* Events come by signals, whatever the monitor is doing; with the lock-step checker it copies the whole vCPU about. */
Test(bt_programs, attention_by_signal)
{
    static const struct bt_options opts[] = {{.check = 1}, {.tu_insns = 1}, {.inject_irq = 1}};
    uint64_t rng = 9;

    signal(SIGALRM, on_alarm);
    for (unsigned i = 0; i < ARRAY_SIZE(opts); i++) {
        unsigned lost = 0;

        fake_bt_new(&opts[i]);
        CODE_IS(CODE, "\x40\x83\xc3\x03\xe6\x70\xeb\xf9"); /* 1: inc %eax; add $3, %ebx; out %al, $0x70; jmp 1b */
        V->eip = CODE;
        for (unsigned n = 0; n < 2000; n++) {
            struct itimerval once = {{0, 500000}, {0, 20 + rnd(&rng) % 100}};

            alarms = 0;
            V->attention = 0;
            setitimer(ITIMER_REAL, &once, NULL);
            while (!V->attention)
                bt_run(V);
            lost += alarms > 1;
        }
        setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
        cr_expect_eq(lost, 0, "options %u: %u of 2000 events lost", i, lost);
    }
}

/* Attentions and hidden faults all the time. */
Test(bt_programs, storm)
{
    static struct result want;
    uint64_t rng = 3;

    for (unsigned i = 0; i < ARRAY_SIZE(programs); i++) {
        interpret_program(&programs[i], &want);
        for (unsigned n = 0; n < 30; n++) {
            struct bt_options o = {.tu_insns = rnd(&rng) % 13, .no_chain = rnd(&rng) % 4 == 0, .adapt_all = rnd(&rng) % 4 == 0};
            fake_bt_new(&o);
            fake_bt_code(CODE, programs[i].code, programs[i].len);
            for (unsigned k = 0; k < 100000 && !V->halted; k++) {
                if (rnd(&rng) % 3 == 0)
                    memset(fake_bt.hidden, 1, sizeof fake_bt.hidden);
                fake_bt.attention_in = 1 + rnd(&rng) % 60;
                V->attention = 0;
                if (bt_can_run(V))
                    bt_run(V);
                else
                    interp_run_one(V);
            }
            same(&programs[i], &want, "storm", n);
            fake_bt_consistent();
        }
    }
}
