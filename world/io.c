// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The CPU's ports, bound to the resident board, and the board's console bound
 * to the rings that both worlds share.
 *
 * World: VMM, every world.
 */
#include "bt/bt.h"
#include "cpu/io.h"
#include "devices/hot/board.h"
#include "world/cross.h"
#include "world/run.h"
#include "world/world.h"

uint64_t io_rdtsc(void)
{
    return __builtin_ia32_rdtsc();
}

/*
 * What a port access may have changed: the interrupt line and when a timer next raises it (the 8259s, the 8254), which
 * is looked at here at once; nothing (POST codes, reads of the 8254); or more, for which the run loop takes a turn.
 */
static void note_access(struct vcpu *v, uint16_t port, bool write)
{
    struct vm *vm = v->vm;

    switch (port) {
    case 0x20: case 0x21: case 0xa0: case 0xa1: case 0x4d0: case 0x4d1: case 0x40: case 0x41: case 0x42: case 0x43:
        bt_set_irq_pending(vm, board_intr(vm->board));
        if (write)
            run_arm(vm);
        break;
    case 0x80:
        break;
    case 0x61: case 0x70:
        if (write)
            v->attention = 1;
        break;
    default:
        v->attention = 1;
        break;
    }
}

/* Translated code has its own place for port 80h; the board is told when somebody looks. */
static bool covers_post(uint16_t port, unsigned size) { return port <= PORT_POST && PORT_POST < port + size; }

uint32_t io_in(struct vcpu *v, uint16_t port, unsigned size)
{
    struct vm *vm = v->vm;
    uint64_t now = world_now(vm);
    uint32_t value;

    if (covers_post(port, size))
        board_out(vm->board, now, PORT_POST, *bt_post(vm), 1);
    value = board_in(vm->board, now, port, size);
    vm->stats->port_in++;
    TRACE_EV(vm->trace, io_in, port, value, size);
    note_access(v, port, false);
    return value;
}

void io_out(struct vcpu *v, uint16_t port, uint32_t value, unsigned size)
{
    struct vm *vm = v->vm;

    vm->stats->port_out++;
    TRACE_EV(vm->trace, io_out, port, value, size);
    board_out(vm->board, world_now(vm), port, value, size);
    if (covers_post(port, size))
        *bt_post(vm) = (uint8_t)(value >> 8 * (PORT_POST - port));
    note_access(v, port, true);
}

/* A byte leaves COM1.  The VMX drains the ring; when it is full the guest waits, nothing is lost. */
void console_tx(void *opaque, uint8_t byte)
{
    struct vm *vm = opaque;
    struct cross *x = vm->cross;
    uint32_t head = x->tx_head;
    bool was_empty = head == x->tx_tail;

    while (head - x->tx_tail >= CROSS_TX_SIZE && !x->host_stop) {
        world_usercall(vm, USERCALL_CONSOLE, 0);
        world_idle(vm, world_now(vm) + 1000000);
    }
    x->tx[head & (CROSS_TX_SIZE - 1)] = byte;
    __atomic_store_n(&x->tx_head, head + 1, __ATOMIC_SEQ_CST);
    if (was_empty || x->tx_tail == head)
        world_usercall(vm, USERCALL_CONSOLE, 0);
}

/* Bytes typed at the console go to the UART as far as it has room. */
void console_rx(struct vm *vm)
{
    struct cross *x = vm->cross;
    uint32_t tail = x->rx_tail;
    bool was_full = x->rx_head - tail >= CROSS_RX_SIZE;

    while (tail != x->rx_head && board_serial_room(vm->board)) {
        uint8_t byte = x->rx[tail & (CROSS_RX_SIZE - 1)];

        if (!board_serial_rx(vm->board, world_now(vm), &byte, 1))
            break;
        tail++;
    }
    if (tail == x->rx_tail)
        return;
    __atomic_store_n(&x->rx_tail, tail, __ATOMIC_SEQ_CST);
    if (was_full)
        world_usercall(vm, USERCALL_CONSOLE, 0); /* the VMX waits for room */
}

void io_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "0"(leaf), "2"(subleaf));
}
