/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XSAVE and kin in translations, where the real XCR0 has more components than
 * the guest's: the mask in EDX:EAX that the CPU gets to see, the registers and flags after it, and the
 * state that a fault there has.  PEXT, PDEP and the XSAVE family are emulated here.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/fake/world_bt.h"

#define CODE 0x10000u
#define V (&fake_bt.vcpu)
#define BT (fake_bt.vm.bt)
#define BITS_LEN 10u /* gs, three of VEX, opcode, ModRM, disp32 */

static uint32_t seen_eax, seen_edx;
static unsigned seen, masked, fault_at;

static uint32_t extract(uint32_t x, uint32_t mask, bool deposit)
{
    uint32_t r = 0;

    for (unsigned i = 0, k = 0; i < 32; i++)
        if (mask >> i & 1) {
            r |= deposit ? (x >> k & 1) << i : (x >> i & 1) << k;
            k++;
        }
    return r;
}

static void emulate(struct vcpu *emu)
{
    static const uint8_t pext[] = {0x65, 0xc4, 0xe2, 0x7a, 0xf5, 0x05}, pdep[] = {0x65, 0xc4, 0xe2, 0x7b, 0xf5, 0x05};

    for (;;) {
        const uint8_t *p = fake_bt.tc + (emu->eip - WIN_TC);

        if (!memcmp(p, pext, 6) || !memcmp(p, pdep, 6)) {
            emu->gpr[REG_EAX] = extract(emu->gpr[REG_EAX], get32((uint8_t *)BT->wd + get32(p + 6)), p[3] == 0x7b);
            emu->eip += BITS_LEN;
            masked++;
        } else if (p[0] == 0x0f && (p[1] == 0xae || p[1] == 0xc7)) {
            seen++;
            seen_eax = emu->gpr[REG_EAX];
            seen_edx = emu->gpr[REG_EDX];
            if (fault_at) {
                fake_bt.tc[emu->eip - WIN_TC] = 0xf4; /* HLT at CPL 3: #GP in the XSAVE's place */
                fault_at = 0;
                return;
            }
            emu->eip += 3;
        } else {
            return;
        }
    }
}

static void start(uint64_t host, uint64_t guest)
{
    fake_bt_new(NULL);
    fake_bt.on_step = emulate;
    seen = masked = fault_at = 0;
    BT->host_xcr0 = host;
    BT->host_bmi2 = true;
    V->cr0 |= CR0_NE | CR0_MP;
    V->cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
    V->xcr0 = guest;
    V->gpr[REG_EAX] = V->gpr[REG_EDX] = 0xffffffff;
    V->gpr[REG_ESI] = 0x20000;
    V->eflags |= EFLAGS_CF | EFLAGS_OF | EFLAGS_SF | EFLAGS_PF;
}

static void run(const char *code, unsigned len)
{
    fake_bt_code(CODE, code, len);
    bt_run(V);
}
#define RUN(s) run(s, sizeof(s) - 1)

Test(bt_xsave, modes)
{
    start(0x2e7, 0xe7);
    cr_assert_eq(bt_mode(V) & (MODE_XMASK | MODE_NOXSAVE), MODE_XMASK);
    V->xcr0 = 0x2e7;
    cr_assert_eq(bt_mode(V) & (MODE_XMASK | MODE_NOXSAVE), 0);
    V->xcr0 = 1;
    cr_assert_eq(bt_mode(V) & (MODE_XMASK | MODE_NOXSAVE), MODE_XMASK);
    BT->host_bmi2 = false;
    cr_assert_eq(bt_mode(V) & (MODE_XMASK | MODE_NOXSAVE), MODE_NOXSAVE);
    BT->host_bmi2 = true;
    BT->host_xcr0 = 0;
    cr_assert_eq(bt_mode(V) & (MODE_XMASK | MODE_NOXSAVE), MODE_NOXSAVE, "the guest has what the host has not");
    V->cr4 &= ~CR4_OSXSAVE;
    cr_assert_eq(bt_mode(V) & (MODE_XMASK | MODE_NOXSAVE), MODE_NOXSAVE);
}

Test(bt_xsave, masks)
{
    static const struct { uint64_t guest; uint32_t eax, want; } rows[] = {
        {0xe7, 0xffffffff, 0xe7}, {0xe7, 0xee, 0xe6}, {7, 0xffffffff, 7}, {3, 0x205, 1}, {1, 0, 0},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t flags;

        start(0x2e7, rows[i].guest);
        V->gpr[REG_EAX] = rows[i].eax;
        flags = V->eflags;
        RUN("\x0f\xc7\x26\xf4"); /* xsavec (%esi); hlt */
        cr_assert_eq(seen, 1);
        cr_expect_eq(seen_eax, rows[i].want, "row %u: %#x", i, seen_eax);
        cr_expect_eq(seen_edx, 0);
        cr_expect_eq(V->gpr[REG_EAX], rows[i].eax);
        cr_expect_eq(V->gpr[REG_EDX], 0xffffffff);
        cr_expect_eq(V->eflags & EFLAGS_ARITH, flags & EFLAGS_ARITH);
    }
}

Test(bt_xsave, equal_xcr0_runs_as_it_is)
{
    start(0xe7, 0xe7);
    RUN("\x0f\xae\x2e\xf4"); /* xrstor (%esi) */
    cr_assert_eq(seen, 1);
    cr_expect_eq(masked, 0);
    cr_expect(seen_eax == 0xffffffff && seen_edx == 0xffffffff);
}

/* The CPU would judge the image by its own XCR0: interpreted, wherever it is. */
Test(bt_xsave, xrstor_is_not_for_the_cpu)
{
    start(0x2e7, 0xe7);
    V->gpr[REG_ESI] = 0x20001;
    RUN("\x0f\xae\x2e\xf4");
    cr_expect_eq(seen, 0);
    cr_expect_eq(masked, 0);
}

/* Addresses by EAX or EDX can't be formed under the mask: interpreted. */
Test(bt_xsave, address_in_the_mask)
{
    static const char *const codes[] = {"\x0f\xae\x20\xf4", "\x0f\xae\x22\xf4", "\x0f\xae\x24\x06\xf4",
                                        "\x0f\xae\x24\x16\xf4", "\x0f\xae\x24\x30\xf4"};

    for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
        start(0x2e7, 0xe7);
        V->gpr[REG_EAX] = V->gpr[REG_EDX] = 0x100;
        run(codes[i], (unsigned)strlen(codes[i]));
        cr_expect_eq(seen, 0, "row %u", i);
        cr_expect_eq(masked, 0);
    }
}

/* A fault in the midst: EAX and EDX are the guest's. */
Test(bt_xsave, fault_is_precise)
{
    struct fault f;
    struct tu *t;
    unsigned n;

    start(0x2e7, 0xe7);
    fake_bt_code(CODE, "\x90\x0f\xae\x26\xf4", 5);
    V->gpr[REG_EDX] = 0x12345678;
    cr_assert(world_seg_sync(V, WIN_BASE, false));
    cr_assert((t = bt_translate(V, bt_mode(V), &f)));
    BT->wd->xcr0 = 0xe7;
    bt_flags_out(V, BT);
    fault_at = 1;
    world_enter(V, t->tca);
    cr_assert_eq(V->exit.kind, EXIT_FAULT);
    cr_assert_eq(V->gpr[REG_EAX], 0xe7);
    cr_assert(bt_sync_fault(V, V->exit.tca, &t, &n));
    cr_expect_eq(n, 1);
    cr_expect_eq(V->eip, CODE + 1);
    cr_expect_eq(V->gpr[REG_EAX], 0xffffffff);
    cr_expect_eq(V->gpr[REG_EDX], 0x12345678);
}
