// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making a VM: its memory, the VMM world's address space as abi.h lays it out, and the monitor's first frame.
 *
 * The addresses of the two halves can't meet: all that abi.h names is below 1 TiB, and the crosspage, which
 * has the host's addresses, in the kernel's half.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
#include <asm/tsc.h>
#include "switch.h"
#include "vm.h"

#define RAM_MAX ((u64)((MON_LOW_PDPT - MON_PFN_RAM) / sizeof(u32) * PAGE_SIZE))
#define SHARED_MAX (MON_PRIVATE - MON_SHARED)
static_assert(MON_PRIVATE_MAX <= MON_PFN_PRIVATE - MON_PRIVATE);
static_assert(MON_PRIVATE_MAX / PAGE_SIZE * sizeof(u32) <= MON_PFN_RAM - MON_PFN_PRIVATE);

static const struct mon_header *image_header(void)
{
	return (const struct mon_header *)btmon_image;
}

bool image_good(void)
{
	return image_header()->magic == MON_MAGIC && image_header()->version == BTMON_VERSION;
}

void vm_init(struct vm *vm)
{
	memset(vm, 0, sizeof(*vm));
	mutex_init(&vm->lock);
	INIT_LIST_HEAD(&vm->aspace.tables);
	vm->cpu = -1;
	vm->alarm = ~0ull;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(&vm->timer, vm_alarm, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
#else
	hrtimer_init(&vm->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
	vm->timer.function = vm_alarm;
#endif
}

/* ------------------------------------------------------------ memory -- */

static bool size_good(u64 size, u64 min, u64 max)
{
	return size && size >= min && size <= max && !(size % PAGE_SIZE);
}

static int check(const struct btmon_create *arg)
{
	const struct mon_header *h = image_header();

	if (arg->version != BTMON_VERSION)
		return -EPROTO;
	if (arg->pad || !size_good(arg->ram_size, h->ram_min, min(h->ram_max, RAM_MAX)) ||
	    !size_good(arg->shared_size, h->shared_min, SHARED_MAX) ||
	    !size_good(arg->private_size, h->private_min, MON_PRIVATE_MAX) || arg->ram_addr % PAGE_SIZE || arg->shared_addr % PAGE_SIZE)
		return -EINVAL;
	return 0;
}

/* So many more pages count as locked. */
static int account(struct vm *vm, unsigned long n)
{
	int rc = account_locked_vm(vm->mm, n, true);

	if (!rc)
		vm->locked += n;
	return rc;
}

static int own_alloc(struct vm *vm)
{
	vm->own = __vmalloc(sizeof(*vm->own), GFP_OURS);
	if (!vm->own)
		return -ENOMEM;
	vm->cross = &vm->own->cross;
	cross_init(vm->cross);
	return 0;
}

static int get_memory(struct vm *vm, const struct btmon_create *arg)
{
	unsigned long need = pages_needed(arg->ram_size) + pages_needed(arg->shared_size) + pages_needed(arg->private_size) +
			     sizeof(*vm->own) / PAGE_SIZE;

	return account(vm, need) ?:
	       pages_pin(&vm->ram, arg->ram_addr, arg->ram_size) ?:
	       pages_pin(&vm->shared, arg->shared_addr, arg->shared_size) ?:
	       pages_alloc(&vm->private, arg->private_size) ?:
	       own_alloc(vm);
}

void vm_destroy(struct vm *vm)
{
	hrtimer_cancel(&vm->timer);
	aspace_free(&vm->aspace);
	vfree(vm->own);
	vm->own = NULL;
	vm->cross = NULL;
	pages_free(&vm->ram);
	pages_free(&vm->shared);
	pages_free(&vm->private);
	if (vm->mm) {
		account_locked_vm(vm->mm, vm->locked, false);
		mmdrop(vm->mm);
	}
	vm->mm = NULL;
	vm->locked = 0;
}

/* ----------------------------------------------------- address space -- */

static int map_pages(struct vm *vm, u64 la, const struct pages *p)
{
	unsigned long i;
	int rc = 0;

	for (i = 0; i < p->held && !rc; i++) {
		rc = aspace_map(&vm->aspace, la + i * PAGE_SIZE, p->pfn[i], ASPACE_RW);
		cond_resched();
	}
	return rc;
}

/* What the kernel has in vmalloc's range or the module's. */
static int map_kernel(struct vm *vm, u64 la, const void *addr, size_t size, enum aspace_use use)
{
	size_t at;
	int rc = 0;

	for (at = 0; at < size && !rc; at += PAGE_SIZE)
		rc = aspace_map(&vm->aspace, la + at, vmalloc_to_pfn(addr + at), use);
	return rc;
}

static int map_pfn_table(struct vm *vm, u64 la, const struct pages *p)
{
	return map_kernel(vm, la, p->pfn, p->held * sizeof(p->pfn[0]), ASPACE_R);
}

static int map_image(struct vm *vm)
{
	size_t text = image_header()->text_size;

	return map_kernel(vm, MON_IMAGE, btmon_image, text, ASPACE_RX) ?:
	       map_kernel(vm, MON_IMAGE + text, btmon_image + text, btmon_image_end - btmon_image - text, ASPACE_R);
}

/* An unmapped page lies below each stack. */
static int map_stacks(struct vm *vm)
{
	int n, rc = map_kernel(vm, MON_STACK_TOP - MON_STACK_SIZE, vm->own->stack, MON_STACK_SIZE, ASPACE_RW);

	for (n = 1; n <= IST_COUNT && !rc; n++)
		rc = map_kernel(vm, MON_IST_TOP(n) - PAGE_SIZE, vm->own->ist[n - 1], PAGE_SIZE, ASPACE_RW);
	return rc;
}

/* At the host's own addresses. */
static int map_crosspage(struct vm *vm)
{
	return map_kernel(vm, (u64)cross_code, cross_code, PAGE_SIZE, ASPACE_RX) ?:
	       map_kernel(vm, (u64)vm->cross, vm->cross, sizeof(*vm->cross), ASPACE_RW);
}

static int build_aspace(struct vm *vm)
{
	return aspace_init(&vm->aspace) ?:
	       map_crosspage(vm) ?:
	       map_image(vm) ?:
	       map_stacks(vm) ?:
	       map_kernel(vm, MON_LOW_PDPT, vm->own->low_pdpt, PAGE_SIZE, ASPACE_RW) ?:
	       map_kernel(vm, 0, vm->own->low_pdpt, PAGE_SIZE, ASPACE_PDPT) ?:
	       map_pages(vm, MON_SHARED, &vm->shared) ?:
	       map_pages(vm, MON_PRIVATE, &vm->private) ?:
	       map_pages(vm, MON_RAM, &vm->ram) ?:
	       map_pfn_table(vm, MON_PFN_PRIVATE, &vm->private) ?:
	       map_pfn_table(vm, MON_PFN_RAM, &vm->ram) ?:
	       account(vm, vm->aspace.count);
}

/* ------------------------------------------------------------- monitor -- */

/* What cross_enter() finds on the monitor's stack. ORDER PUSH_CALLEE_SAVED */
struct first_frame {
	u64 r15, r14, r13, r12, rbp, rbx;
	u64 rip, cs;
	u64 return_address; /* none, but the ABI has RSP where a call leaves it */
};

static void start_monitor(struct vm *vm)
{
	struct first_frame *f = (void *)vm->own->stack + MON_STACK_SIZE - sizeof(*f);

	f->rip = image_header()->entry;
	f->cs = BTMON_CS;
	vm->cross->mon_rsp = MON_STACK_TOP - sizeof(*f);
}

static void fill_abi(struct vm *vm, const struct btmon_create *arg)
{
	struct btmon_cross_abi *abi = &vm->cross->abi;

	abi->alarm = ~0ull;
	abi->tsc_khz = tsc_khz;
	abi->ram_size = arg->ram_size;
	abi->shared_size = arg->shared_size;
	abi->private_size = arg->private_size;
	abi->vmm_cr3 = aspace_cr3(&vm->aspace);
}

int vm_create(struct vm *vm, const struct btmon_create *arg)
{
	int rc = check(arg);

	if (rc)
		return rc;
	vm->mm = current->mm;
	mmgrab(vm->mm);
	rc = get_memory(vm, arg) ?: build_aspace(vm);
	if (rc) {
		vm_destroy(vm);
		return rc;
	}
	fill_abi(vm, arg);
	start_monitor(vm);
	return 0;
}
