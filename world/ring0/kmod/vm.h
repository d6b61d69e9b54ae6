/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM: one open file of /dev/btmon, one VCPU.
 *
 * World: host, process context.  Owner: the file.  Errors: as abi.h says at the ioctls.  Order: vm_create() once it
 * has succeeded not again; vm_run() only after it; both with vm->lock held. vm_destroy() at any time after vm_init(), and
 * leaves the VM as vm_init() does.
 */
#ifndef BTMON_VM_H
#define BTMON_VM_H

#include <linux/hrtimer.h>
#include <linux/mutex.h>
#include "aspace.h"
#include "crosspage.h"
#include "memory.h"

#define IST_COUNT 3

/* What the module makes for a VM, but for its page tables; from vmalloc(). */
struct vm_own {
	struct crosspage cross;
	u8 stack[MON_STACK_SIZE];
	u8 ist[IST_COUNT][PAGE_SIZE];
	u8 low_pdpt[PAGE_SIZE];
};
static_assert(sizeof(struct vm_own) % PAGE_SIZE == 0);

struct vm {
	struct mutex lock; /* taken by trying: who finds it taken gets -EBUSY */
	struct crosspage *cross; /* in own; NULL: not created */
	bool dead; /* the monitor is broken */
	int cpu; /* where it ran last, and its timer was set; -1 nowhere */

	struct hrtimer timer; /* sets cross->abi.event */
	u64 alarm; /* that the timer was set for */

	struct aspace aspace;
	struct pages ram, shared, private;
	struct vm_own *own;
	struct mm_struct *mm; /* whose locked_vm counts ... */
	unsigned long locked; /* ... so many pages: all that the VM holds */
};

void vm_init(struct vm *vm);
int vm_create(struct vm *vm, const struct btmon_create *arg);
void vm_destroy(struct vm *vm);

/* run.c */
int vm_run(struct vm *vm, struct btmon_run *arg);
enum hrtimer_restart vm_alarm(struct hrtimer *timer);

/* image.S */
extern const char btmon_image[], btmon_image_end[];
bool image_good(void); /* of our version */

#endif
