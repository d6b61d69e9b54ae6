// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A switch replaces the descriptor tables, CR3 and CR4, and needs a processor that lets it. The hosts on which
 * it would not come back come first, those that forbid it last.
 */
#include "refusal.h"

const char *host_refusal(const struct host_facts *host)
{
	if (host->xen_pv)
		return "the kernel runs as a Xen PV guest, which owns no descriptor tables";
	if (host->mem_encrypt)
		return "memory is encrypted (SME, SEV or TDX)";
	if (host->fred)
		return "FRED is on, and there is no IDT (boot with fred=off)";
	if (!host->nx)
		return "the CPU has no execute-disable bit";
	if (host->locked_down)
		return "the kernel is locked down (Secure Boot)";
	return NULL;
}
