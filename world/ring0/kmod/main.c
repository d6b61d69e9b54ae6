// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * btmon: the kernel helper of btvmm's ring-0 world.  It owns memory, an address space and the switch to it; what
 * goes on there is the monitor's business, whose image it carries. abi.h is the contract.
 *
 * Reading order: abi.h, crosspage.h, crosspage.S, switch.c, run.c, vm.c, aspace.c, memory.c, refusal.c, this file.
 */
#define pr_fmt(fmt) "btmon: " fmt

#include <linux/cc_platform.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include "raw.h"
#include "refusal.h"
#include "switch.h"
#include "vm.h"

#define CR4_FRED_BIT 32

static const char *refusal(void)
{
	const struct host_facts host = {
		.xen_pv = boot_cpu_has(X86_FEATURE_XENPV),
		.mem_encrypt = cc_platform_has(CC_ATTR_MEM_ENCRYPT),
		.fred = raw_read_cr4() & BIT_ULL(CR4_FRED_BIT),
		.nx = boot_cpu_has(X86_FEATURE_NX),
		.locked_down = security_locked_down(LOCKDOWN_MSR),
	};

	return host_refusal(&host);
}

/* A kernel can be locked down after the module was loaded: VMs that exist run on, there are no new ones. */
static int btmon_open(struct inode *inode, struct file *file)
{
	const char *why = refusal();
	struct vm *vm;

	if (why) {
		pr_err_ratelimited("no VM: %s\n", why);
		return -EOPNOTSUPP;
	}
	vm = kmalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return -ENOMEM;
	vm_init(vm);
	file->private_data = vm;
	return 0;
}

static int btmon_release(struct inode *inode, struct file *file)
{
	struct vm *vm = file->private_data;

	vm_destroy(vm);
	mutex_destroy(&vm->lock);
	kfree(vm);
	return 0;
}

static long ioctl_create(struct vm *vm, void __user *user)
{
	struct btmon_create arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (vm->cross)
		return -EBUSY;
	return vm_create(vm, &arg);
}

static long ioctl_run(struct vm *vm, void __user *user)
{
	struct btmon_run arg;
	int rc;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (!vm->cross)
		return -EINVAL;
	rc = vm_run(vm, &arg);
	if (!rc && copy_to_user(user, &arg, sizeof(arg)))
		return -EFAULT;
	return rc;
}

static long btmon_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vm *vm = file->private_data;
	long rc;

	if (cmd == BTMON_GET_VERSION)
		return BTMON_VERSION;
	if (cmd != BTMON_CREATE && cmd != BTMON_RUN)
		return -ENOTTY;
	if (!mutex_trylock(&vm->lock))
		return -EBUSY;
	rc = cmd == BTMON_CREATE ? ioctl_create(vm, (void __user *)arg) : ioctl_run(vm, (void __user *)arg);
	mutex_unlock(&vm->lock);
	return rc;
}

static const struct file_operations btmon_fops = {
	.owner = THIS_MODULE,
	.open = btmon_open,
	.release = btmon_release,
	.unlocked_ioctl = btmon_ioctl,
};

static struct miscdevice btmon_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "btmon",
	.fops = &btmon_fops,
	.mode = 0600,
};

static int __init btmon_init(void)
{
	const char *why = refusal();

	if (why) {
		pr_err("not loaded: %s\n", why);
		return -EOPNOTSUPP;
	}
	if (!image_good()) {
		pr_err("not loaded: the monitor image in the module is not of version %u\n", BTMON_VERSION);
		return -EPROTO;
	}
	switch_setup();
	return misc_register(&btmon_device);
}

static void __exit btmon_exit(void)
{
	misc_deregister(&btmon_device);
}

module_init(btmon_init);
module_exit(btmon_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("btvmm: kernel helper of the ring-0 world");
