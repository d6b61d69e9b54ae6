/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The monitor image, in whole pages of its own: they are mapped into the VMM worlds as they are. */
#include <linux/linkage.h>

	.section .rodata.monitor, "a"
	.balign	4096
SYM_DATA_START(btmon_image)
	.incbin	MONITOR_IMAGE
	.balign	4096
SYM_DATA_END_LABEL(btmon_image, SYM_L_GLOBAL, btmon_image_end)
