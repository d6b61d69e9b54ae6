// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A monitor that does nothing but put the module to the test: it obeys one command a BTMON_RUN (selftest.h).
 *
 * It starts on the tables that the switch leaves (cross GDT, switch IDT) and loads its own, with all segment registers, for
 * commands that take interrupts or are to spoil what the host must get back.
 */
#include "selftest.h"

typedef struct btmon_cross_abi abi_t;

/* What trap_entry pushes. */
struct frame {
    __u64 r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax; /* ORDER trap_entry */
    __u64 vector, error, rip, cs, rflags, rsp, ss;
};

struct __attribute__((packed)) table { __u16 limit; __u64 base; };

/* At the start of the private memory. */
struct state {
    abi_t *abi;
    __u64 gdt[512];
    __u64 idt[256][2];
    __u32 tss[26];
    __u64 ldt[4];
    __u32 own_tables;
};
#define STATE ((struct state *)MON_PRIVATE)
#define SHARED ((volatile struct selftest *)MON_SHARED)

#define SEL_DATA 0x08
#define SEL_TSS 0x10
#define SEL_LDT 0x20
#define SEL_LDT_DATA 0x0c
#define DATA_FLAT 0x00cf93000000ffffull
#define DATA_BASED 0x12cf93345678ffffull
#define CODE_64 0x00af9b000000ffffull
#define VEC_DB 1
#define VEC_NMI 2
#define VEC_PF 14

extern const char stubs[], probe_fixup[], text_size[];
void mon_entry(void);
__u64 probe(__u64 address, int how);
void selftest_main(abi_t *abi);
void trap(struct frame *f);

__attribute__((section(".mon_header"), used)) static const struct mon_header header = {
    .magic = MON_MAGIC,
    .version = BTMON_VERSION,
    .entry = (__u64)mon_entry,
    .text_size = (__u64)text_size,
    .ram_min = SELFTEST_RAM_MIN,
    .ram_max = ~0ull,
    .shared_min = SELFTEST_SHARED_MIN,
};
_Static_assert(sizeof(struct selftest) <= SELFTEST_SHARED_MIN, "too small");

static __u64 rdtsc(void)
{
    __u32 low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return low | (__u64)high << 32;
}

static void set_cr4(__u64 value)
{
    __asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

/* The bits of CR4 that keep the monitor from pages that user code could use (SMEP, SMAP), as far as the CPU has them. */
static __u64 user_guards(void)
{
    __u32 a = 0, b = 0, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (a < 7)
        return 0;
    a = 7;
    c = 0;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (b >> 7 & 1) << 20 | (b >> 20 & 1) << 21;
}

static void set_system(__u64 *entry, void *base, __u32 limit, __u64 type)
{
    __u64 la = (__u64)base;

    entry[0] = limit | (la & 0xffffff) << 16 | (0x80 | type) << 40 | (la >> 24 & 0xff) << 56;
    entry[1] = la >> 32;
}

static void make_tables(struct state *s)
{
    s->gdt[SEL_DATA / 8] = DATA_FLAT;
    s->gdt[BTMON_CS / 8] = CODE_64;
    set_system(&s->gdt[SEL_LDT / 8], s->ldt, sizeof(s->ldt) - 1, 2);
    s->ldt[SEL_LDT_DATA / 8] = DATA_BASED;
    for (int v = 0; v < 256; v++) {
        __u64 la = (__u64)(stubs + 16 * v);

        s->idt[v][0] = (la & 0xffff) | BTMON_CS << 16 | 0x8e00ull << 32 | (la >> 16 & 0xffff) << 48;
        s->idt[v][1] = la >> 32;
    }
}

static void load_gdt(struct state *s)
{
    struct table gdt = { sizeof(s->gdt) - 1, (__u64)s->gdt };

    __asm__ volatile("lgdt %0" : : "m"(gdt) : "memory");
}

/* The IDT comes last: an NMI before it is held, one behind it finds all in place. */
static void load_tables(struct state *s)
{
    struct table idt = { sizeof(s->idt) - 1, (__u64)s->idt };

    s->own_tables = 1;
    set_system(&s->gdt[SEL_TSS / 8], s->tss, sizeof(s->tss) - 1, 9); /* not busy */
    load_gdt(s);
    __asm__ volatile("lldt %w1\n\tltr %w2\n\tmov %3, %%ss\n\tmov %3, %%ds\n\tmov %3, %%es\n\t"
                     "mov %4, %%fs\n\tmov %4, %%gs\n\tlidt %0"
                     : : "m"(idt), "r"(SEL_LDT), "r"(SEL_TSS), "r"(SEL_DATA), "r"(SEL_LDT_DATA) : "memory");
}

/* Other values in all of the FPU than any program has. */
static void spoil_fpu(void)
{
    static const __u32 mxcsr = 0x7f80;

    __asm__ volatile("fninit\n\tfldpi\n\tldmxcsr %0\n\t"
                     "pcmpeqd %%xmm0, %%xmm0\n\tmovdqa %%xmm0, %%xmm1\n\tmovdqa %%xmm0, %%xmm6\n\t"
                     "movdqa %%xmm0, %%xmm7\n\tmovdqa %%xmm0, %%xmm8\n\tmovdqa %%xmm0, %%xmm15"
                     : : "m"(mxcsr));
}

/* Comes back on the tables it was called with; but a new command starts on those of the switch. */
static void to_host(struct state *s, enum btmon_op op, __u32 code, __u64 arg)
{
    abi_t *abi = s->abi;
    __u32 own_tables = s->own_tables;

    abi->op = op;
    abi->code = code;
    abi->arg = arg;
    do {
        s->own_tables = 0;
        ((void (*)(abi_t *))abi->to_host)(abi);
        if (own_tables && op != BTMON_OP_USER)
            load_tables(s);
        abi->op = BTMON_OP_NONE;
        if (abi->held)
            SHARED->held++;
    } while (abi->held);
}

/* The host's interrupts; what it interrupted may have been about to go to the host itself. */
static void host_event(struct state *s, __u64 vector)
{
    __u32 op = s->abi->op, code = s->abi->code, own_tables = s->own_tables;
    __u64 arg = s->abi->arg;

    SHARED->interrupts[vector]++;
    s->own_tables = 1; /* they are loaded, or this trap would not have come; the interrupted may have said otherwise already */
    to_host(s, BTMON_OP_INTR, 0, vector);
    s->own_tables = own_tables;
    s->abi->op = op;
    s->abi->code = code;
    s->abi->arg = arg;
}

/* The switch's own IDT is to be loaded by the first instruction of the way out, behind up to two ENDBRs of 4 bytes each. */
static void stepped(struct state *s, __u64 rip)
{
    __u64 behind = rip - s->abi->to_host;

    if (behind > 8 || behind % 4)
        SHARED->result[2]++;
}

void trap(struct frame *f)
{
    struct state *s = STATE;

    set_cr4(s->abi->vmm_cr4);
    if (f->vector == VEC_DB && SHARED->command == SELFTEST_STRESS) {
        stepped(s, f->rip);
    } else if (f->vector == VEC_NMI || f->vector >= 32) {
        host_event(s, f->vector);
    } else if (f->vector == VEC_PF && SHARED->command == SELFTEST_PROBE) {
        f->rax = 1 + f->error;
        f->rip = (__u64)probe_fixup;
    } else {
        to_host(s, BTMON_OP_DEAD, (__u32)f->vector, f->rip);
    }
}

static void wait_for_event(struct state *s, __u64 alarm)
{
    load_tables(s);
    s->abi->alarm = alarm;
    to_host(s, BTMON_OP_NONE, 0, 0);
    while (!*(volatile __u32 *)&s->abi->event)
        __asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
    s->abi->event = 0;
    s->abi->alarm = ~0ull;
}

static void set_alarm(struct state *s, __u64 alarm)
{
    s->abi->alarm = alarm;
    to_host(s, BTMON_OP_NONE, 0, 0);
}

static __u64 guarded_probe(struct state *s, __u64 address, int how)
{
    __u64 result;

    set_cr4(s->abi->vmm_cr4 | user_guards());
    result = probe(address, how);
    set_cr4(s->abi->vmm_cr4);
    return result;
}

static __u64 hold(struct state *s, __u64 n)
{
    abi_t *abi = s->abi;
    __u64 kept = 0;

    for (abi->op = BTMON_OP_NONE; n; n--) {
        abi->held = BTMON_HELD_NMI;
        ((void (*)(abi_t *))abi->to_host)(abi);
        kept += abi->held != 0;
    }
    abi->held = 0;
    return kept;
}

static void interrupted(struct state *s, __u64 n, __u64 vector)
{
    for (; n; n--)
        to_host(s, BTMON_OP_INTR, 0, vector);
}

static void switches(struct state *s, __u64 n, int spoil)
{
    for (; n; n--) {
        if (spoil) {
            load_tables(s);
            spoil_fpu();
        }
        to_host(s, BTMON_OP_NONE, 0, 0);
    }
}

static void steps_off(void)
{
    __asm__ volatile("pushfq\n\tandl $~0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
}

/* From tables of the monitor's own, the first step being that into to_host. SS: the steps end in IRETs, which load it. */
static void step_out(struct state *s)
{
    abi_t *abi = s->abi;

    load_tables(s);
    __asm__ volatile("mov %2, %%ss\n\tpushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tcall *%1"
                     : "+D"(abi) : "r"(s->abi->to_host), "r"(0)
                     : "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
    s->own_tables = 0;
}

/* The steps go on until the next switch, the monitor's own GDT under the switch's IDT among them. */
static void stress(struct state *s, __u64 n)
{
    SHARED->result[2] = 0;
    s->abi->trace = 2;
    for (; n; n--) {
        to_host(s, BTMON_OP_NONE, 0, 0);
        load_gdt(s);
        steps_off();
        step_out(s);
    }
    s->abi->trace = 0;
    to_host(s, BTMON_OP_NONE, 0, 0);
    SHARED->result[0] = s->abi->stress_steps;
    SHARED->result[1] = s->abi->stress_nmis;
}

static void count(struct state *s)
{
    abi_t *abi = s->abi;
    __u64 out, in;

    abi->op = BTMON_OP_NONE;
    abi->trace = 1;
    ((void (*)(abi_t *))abi->to_host)(abi);
    out = rdtsc();
    ((void (*)(abi_t *))abi->to_host)(abi);
    in = rdtsc();
    SHARED->result[0] = abi->tsc_left - out;
    SHARED->result[1] = in - abi->tsc_entered;
    abi->trace = 0;
}

static __u64 fill(struct state *s, __u64 pattern, __u64 expected)
{
    __u64 bad = 0, words = s->abi->private_size / 8;
    volatile __u64 *p = (volatile __u64 *)MON_PRIVATE;

    for (__u64 i = (sizeof(*s) + 4095) / 4096 * 512; i < words; i += 64) {
        bad += p[i] != (expected ? expected + i : 0);
        p[i] = pattern + i;
    }
    return bad;
}

static void obey(struct state *s)
{
    volatile struct selftest *t = SHARED;

    switch (t->command) {
    case SELFTEST_SPOIL: load_tables(s); spoil_fpu(); break;
    case SELFTEST_WAIT: wait_for_event(s, t->arg[0]); break;
    case SELFTEST_ALARM: set_alarm(s, t->arg[0]); break;
    case SELFTEST_PROBE: load_tables(s); t->result[0] = guarded_probe(s, t->arg[0], (int)t->arg[1]); break;
    case SELFTEST_SWITCHES: switches(s, t->arg[0], t->arg[1] != 0); break;
    case SELFTEST_STRESS: stress(s, t->arg[0]); break;
    case SELFTEST_HOLD: t->result[0] = hold(s, t->arg[0]); break;
    case SELFTEST_VECTOR: interrupted(s, t->arg[0], t->arg[1]); break;
    case SELFTEST_COUNT: count(s); break;
    case SELFTEST_FILL: t->result[0] = fill(s, t->arg[0], t->arg[1]); break;
    case SELFTEST_DIE: to_host(s, BTMON_OP_DEAD, 7, 0x1234); break;
    case SELFTEST_UD: __asm__ volatile("ud2"); break;
    case SELFTEST_BADVECTOR: to_host(s, BTMON_OP_INTR, 0, t->arg[0]); break;
    default: break;
    }
}

void selftest_main(abi_t *abi)
{
    struct state *s = STATE;

    s->abi = abi;
    make_tables(s);
    SHARED->constants = MON_IMAGE + header.text_size;
    SHARED->cross = abi->self;
    SHARED->cross_code = abi->to_host & ~4095ull;
    for (;;) {
        obey(s);
        to_host(s, BTMON_OP_USER, SHARED->command, SHARED->arg[0]);
    }
}
