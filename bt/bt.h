/*
 * The translator's face to the run loop.
 *
 * World: monitor.  Owner: vm->bt, from vm->arena.  Order: bt_init() after
 * mmu_init().  Guest faults never come out of here: they are delivered to the
 * vCPU.  vm_stop() ends everything.
 */
#ifndef BT_BT_H
#define BT_BT_H

#include "cpu/vcpu.h"

void bt_init(struct vm *vm);
void bt_reset(struct vm *vm);

/* Can the vCPU's present state be run by translation at all (else: interpreter)? */
bool bt_can_run(const struct vcpu *v);

/*
 * Run translated code from v->eip until something needs the run loop: an
 * event (v->attention), a stop, a state that bt_can_run() refuses, or a
 * change of privilege.  The vCPU is exact (an instruction boundary) when it returns.
 */
void bt_run(struct vcpu *v);

/* In which address spaces, by bits, shall bt_run() come back whenever user mode is entered, even if it began there? */
#define BT_SPACES 64u
static inline unsigned bt_space(uint32_t cr3)
{
    return (cr3 >> 12 ^ cr3 >> 18 ^ cr3 >> 5) & (BT_SPACES - 1);
}
void bt_return_at_user(struct vm *vm, uint64_t spaces);

/* What port 80h holds: translated code writes there by itself. */
#define PORT_POST 0x80u
uint8_t *bt_post(struct vm *vm);

/* An interrupt waits for IF, or not: for vcpu_interrupted(), and for translated code. */
void bt_set_irq_pending(struct vm *vm, bool pending);

/* Drop all translations. reason: enum bt_flush. */
enum bt_flush { BT_FLUSH_FULL, BT_FLUSH_RESET, BT_FLUSH_REMAP };
void bt_flush(struct vm *vm, enum bt_flush reason);

/* For the dump: the EIPs of the translation units that the monitor entered last, latest first; returns how many. */
unsigned bt_recent(const struct vm *vm, uint32_t *eip, unsigned max);

#endif
