// SPDX-License-Identifier: GPL-2.0-or-later
/* Numbers for crosspage.S. */
#define COMPILE_OFFSETS
#include <linux/kbuild.h>
#include "crosspage.h"

void offsets(void);
void offsets(void)
{
	OFFSET(X_OP, crosspage, abi.op);
	OFFSET(X_CODE, crosspage, abi.code);
	OFFSET(X_ARG, crosspage, abi.arg);
	OFFSET(X_HELD, crosspage, abi.held);
	OFFSET(X_VMM_CR3, crosspage, abi.vmm_cr3);
	OFFSET(X_HOST_RSP, crosspage, host.rsp);
	OFFSET(X_HOST_CR3, crosspage, host.cr3);
	OFFSET(X_HOST_IDTR, crosspage, host.idtr);
	OFFSET(X_MON_RSP, crosspage, mon_rsp);
	OFFSET(X_GDTR, crosspage, gdtr);
	OFFSET(X_IDTR_HOST, crosspage, idtr_host);
	OFFSET(X_IDTR_VMM, crosspage, idtr_vmm);
	OFFSET(X_STRESS_STEPS, crosspage, abi.stress_steps);
	OFFSET(X_STRESS_NMIS, crosspage, abi.stress_nmis);
	DEFINE(X_STACK_TOP, offsetofend(struct crosspage, stack));
	DEFINE(X_HELD_NMI, BTMON_HELD_NMI);
	DEFINE(X_HELD_MC, BTMON_HELD_MC);
	DEFINE(X_OP_DEAD, BTMON_OP_DEAD);
	DEFINE(X_CS, BTMON_CS);
}
