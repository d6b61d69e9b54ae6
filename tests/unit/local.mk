# SPDX-License-Identifier: GPL-2.0-or-later
#
# One Criterion program a file.  The monitor's sources come from libmonhosted.a:
# compiled with libc underneath and, if configured, sanitizers.
if TESTS_ENABLED

unit_cppflags = $(AM_CPPFLAGS) -DHOSTED_TEST
unit_cflags = $(AM_CFLAGS) $(SAN_CFLAGS)
unit_ldflags = $(SAN_LDFLAGS)
MON_LIBS = libmonhosted.a $(ZYDIS_LIBS) $(CAPSTONE_LIBS) $(CRITERION_LIBS)
HOST_LIBS = libhost.a $(CAPSTONE_LIBS) $(ELF_LIBS) libmonhosted.a $(ZYDIS_LIBS) $(CRITERION_LIBS)

UNIT_TESTS += %reldir%/base_fmt
%canon_reldir%_base_fmt_SOURCES = %reldir%/base_fmt.c
%canon_reldir%_base_fmt_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_base_fmt_CFLAGS = $(unit_cflags)
%canon_reldir%_base_fmt_LDFLAGS = $(unit_ldflags)
%canon_reldir%_base_fmt_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/base_mem
%canon_reldir%_base_mem_SOURCES = %reldir%/base_mem.c
%canon_reldir%_base_mem_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_base_mem_CFLAGS = $(unit_cflags)
%canon_reldir%_base_mem_LDFLAGS = $(unit_ldflags)
%canon_reldir%_base_mem_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/base_trace_vm
%canon_reldir%_base_trace_vm_SOURCES = %reldir%/base_trace_vm.c
%canon_reldir%_base_trace_vm_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_base_trace_vm_CFLAGS = $(unit_cflags)
%canon_reldir%_base_trace_vm_LDFLAGS = $(unit_ldflags)
%canon_reldir%_base_trace_vm_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/bt_decode_agree
%canon_reldir%_bt_decode_agree_SOURCES = %reldir%/bt_decode_agree.c tests/fake/rnd.h
%canon_reldir%_bt_decode_agree_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_bt_decode_agree_CFLAGS = $(unit_cflags)
%canon_reldir%_bt_decode_agree_LDFLAGS = $(unit_ldflags)
%canon_reldir%_bt_decode_agree_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/bt_insn
%canon_reldir%_bt_insn_SOURCES = %reldir%/bt_insn.c
%canon_reldir%_bt_insn_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_bt_insn_CFLAGS = $(unit_cflags)
%canon_reldir%_bt_insn_LDFLAGS = $(unit_ldflags)
%canon_reldir%_bt_insn_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/bt_programs
%canon_reldir%_bt_programs_SOURCES = %reldir%/bt_programs.c tests/fake/rnd.h tests/fake/world_bt.h tests/fake/world_bt.c
%canon_reldir%_bt_programs_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_bt_programs_CFLAGS = $(unit_cflags)
%canon_reldir%_bt_programs_LDFLAGS = $(unit_ldflags)
%canon_reldir%_bt_programs_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/bt_translate
%canon_reldir%_bt_translate_SOURCES = %reldir%/bt_translate.c tests/fake/rnd.h tests/fake/world_bt.h tests/fake/world_bt.c
%canon_reldir%_bt_translate_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_bt_translate_CFLAGS = $(unit_cflags)
%canon_reldir%_bt_translate_LDFLAGS = $(unit_ldflags)
%canon_reldir%_bt_translate_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/bt_xsave
%canon_reldir%_bt_xsave_SOURCES = %reldir%/bt_xsave.c tests/fake/world_bt.h tests/fake/world_bt.c
%canon_reldir%_bt_xsave_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_bt_xsave_CFLAGS = $(unit_cflags)
%canon_reldir%_bt_xsave_LDFLAGS = $(unit_ldflags)
%canon_reldir%_bt_xsave_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/world_config
%canon_reldir%_world_config_SOURCES = %reldir%/world_config.c
%canon_reldir%_world_config_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_world_config_CFLAGS = $(unit_cflags)
%canon_reldir%_world_config_LDFLAGS = $(unit_ldflags)
%canon_reldir%_world_config_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/world_direct
%canon_reldir%_world_direct_SOURCES = %reldir%/world_direct.c
%canon_reldir%_world_direct_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_world_direct_CFLAGS = $(unit_cflags)
%canon_reldir%_world_direct_LDFLAGS = $(unit_ldflags)
%canon_reldir%_world_direct_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/cpu_control
%canon_reldir%_cpu_control_SOURCES = %reldir%/cpu_control.c tests/fake/fpnative.h tests/fake/fpnative.c tests/fake/gmem.h tests/fake/gmem.c tests/fake/i386.h tests/fake/i386.c tests/fake/io.h tests/fake/io.c
%canon_reldir%_cpu_control_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_cpu_control_CFLAGS = $(unit_cflags)
%canon_reldir%_cpu_control_LDFLAGS = $(unit_ldflags)
%canon_reldir%_cpu_control_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/cpu_exception
%canon_reldir%_cpu_exception_SOURCES = %reldir%/cpu_exception.c tests/fake/fpnative.h tests/fake/fpnative.c tests/fake/gmem.h tests/fake/gmem.c tests/fake/i386.h tests/fake/i386.c tests/fake/io.h tests/fake/io.c
%canon_reldir%_cpu_exception_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_cpu_exception_CFLAGS = $(unit_cflags)
%canon_reldir%_cpu_exception_LDFLAGS = $(unit_ldflags)
%canon_reldir%_cpu_exception_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/cpu_gatecache
%canon_reldir%_cpu_gatecache_SOURCES = %reldir%/cpu_gatecache.c tests/fake/fpnative.h tests/fake/fpnative.c tests/fake/gmem.h tests/fake/gmem.c tests/fake/i386.h tests/fake/i386.c tests/fake/io.h tests/fake/io.c
%canon_reldir%_cpu_gatecache_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_cpu_gatecache_CFLAGS = $(unit_cflags)
%canon_reldir%_cpu_gatecache_LDFLAGS = $(unit_ldflags)
%canon_reldir%_cpu_gatecache_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/cpu_idecode
%canon_reldir%_cpu_idecode_SOURCES = %reldir%/cpu_idecode.c
%canon_reldir%_cpu_idecode_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_cpu_idecode_CFLAGS = $(unit_cflags)
%canon_reldir%_cpu_idecode_LDFLAGS = $(unit_ldflags)
%canon_reldir%_cpu_idecode_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/cpu_interp
%canon_reldir%_cpu_interp_SOURCES = %reldir%/cpu_interp.c tests/fake/fpnative.h tests/fake/fpnative.c tests/fake/gmem.h tests/fake/gmem.c tests/fake/i386.h tests/fake/i386.c tests/fake/io.h tests/fake/io.c
%canon_reldir%_cpu_interp_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_cpu_interp_CFLAGS = $(unit_cflags)
%canon_reldir%_cpu_interp_LDFLAGS = $(unit_ldflags)
%canon_reldir%_cpu_interp_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/cpu_interp_fp
%canon_reldir%_cpu_interp_fp_SOURCES = %reldir%/cpu_interp_fp.c tests/fake/fpnative.h tests/fake/fpnative.c tests/fake/gmem.h tests/fake/gmem.c tests/fake/i386.h tests/fake/i386.c tests/fake/io.h tests/fake/io.c
%canon_reldir%_cpu_interp_fp_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_cpu_interp_fp_CFLAGS = $(unit_cflags)
%canon_reldir%_cpu_interp_fp_LDFLAGS = $(unit_ldflags)
%canon_reldir%_cpu_interp_fp_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/cpu_segment
%canon_reldir%_cpu_segment_SOURCES = %reldir%/cpu_segment.c tests/fake/fpnative.h tests/fake/fpnative.c tests/fake/gmem.h tests/fake/gmem.c tests/fake/i386.h tests/fake/i386.c tests/fake/io.h tests/fake/io.c
%canon_reldir%_cpu_segment_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_cpu_segment_CFLAGS = $(unit_cflags)
%canon_reldir%_cpu_segment_LDFLAGS = $(unit_ldflags)
%canon_reldir%_cpu_segment_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/cpu_transfer
%canon_reldir%_cpu_transfer_SOURCES = %reldir%/cpu_transfer.c tests/fake/fpnative.h tests/fake/fpnative.c tests/fake/gmem.h tests/fake/gmem.c tests/fake/i386.h tests/fake/i386.c tests/fake/io.h tests/fake/io.c
%canon_reldir%_cpu_transfer_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_cpu_transfer_CFLAGS = $(unit_cflags)
%canon_reldir%_cpu_transfer_LDFLAGS = $(unit_ldflags)
%canon_reldir%_cpu_transfer_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/devices_board
%canon_reldir%_devices_board_SOURCES = %reldir%/devices_board.c
%canon_reldir%_devices_board_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_devices_board_CFLAGS = $(unit_cflags)
%canon_reldir%_devices_board_LDFLAGS = $(unit_ldflags)
%canon_reldir%_devices_board_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/devices_i8042
%canon_reldir%_devices_i8042_SOURCES = %reldir%/devices_i8042.c
%canon_reldir%_devices_i8042_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_devices_i8042_CFLAGS = $(unit_cflags)
%canon_reldir%_devices_i8042_LDFLAGS = $(unit_ldflags)
%canon_reldir%_devices_i8042_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/devices_i8254
%canon_reldir%_devices_i8254_SOURCES = %reldir%/devices_i8254.c
%canon_reldir%_devices_i8254_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_devices_i8254_CFLAGS = $(unit_cflags)
%canon_reldir%_devices_i8254_LDFLAGS = $(unit_ldflags)
%canon_reldir%_devices_i8254_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/devices_i8259
%canon_reldir%_devices_i8259_SOURCES = %reldir%/devices_i8259.c
%canon_reldir%_devices_i8259_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_devices_i8259_CFLAGS = $(unit_cflags)
%canon_reldir%_devices_i8259_LDFLAGS = $(unit_ldflags)
%canon_reldir%_devices_i8259_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/devices_mc146818
%canon_reldir%_devices_mc146818_SOURCES = %reldir%/devices_mc146818.c
%canon_reldir%_devices_mc146818_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_devices_mc146818_CFLAGS = $(unit_cflags)
%canon_reldir%_devices_mc146818_LDFLAGS = $(unit_ldflags)
%canon_reldir%_devices_mc146818_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/devices_ns16550
%canon_reldir%_devices_ns16550_SOURCES = %reldir%/devices_ns16550.c
%canon_reldir%_devices_ns16550_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_devices_ns16550_CFLAGS = $(unit_cflags)
%canon_reldir%_devices_ns16550_LDFLAGS = $(unit_ldflags)
%canon_reldir%_devices_ns16550_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/host_console
%canon_reldir%_host_console_SOURCES = %reldir%/host_console.c
%canon_reldir%_host_console_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_host_console_CFLAGS = $(unit_cflags)
%canon_reldir%_host_console_LDFLAGS = $(unit_ldflags)
%canon_reldir%_host_console_LDADD = $(HOST_LIBS)

UNIT_TESTS += %reldir%/host_loaders
%canon_reldir%_host_loaders_SOURCES = %reldir%/host_loaders.c
%canon_reldir%_host_loaders_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_host_loaders_CFLAGS = $(unit_cflags)
%canon_reldir%_host_loaders_LDFLAGS = $(unit_ldflags)
%canon_reldir%_host_loaders_LDADD = $(HOST_LIBS)

UNIT_TESTS += %reldir%/host_options
%canon_reldir%_host_options_SOURCES = %reldir%/host_options.c
%canon_reldir%_host_options_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_host_options_CFLAGS = $(unit_cflags)
%canon_reldir%_host_options_LDFLAGS = $(unit_ldflags)
%canon_reldir%_host_options_LDADD = $(HOST_LIBS)

UNIT_TESTS += %reldir%/host_report
%canon_reldir%_host_report_SOURCES = %reldir%/host_report.c
%canon_reldir%_host_report_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_host_report_CFLAGS = $(unit_cflags)
%canon_reldir%_host_report_LDFLAGS = $(unit_ldflags)
%canon_reldir%_host_report_LDADD = $(HOST_LIBS)

UNIT_TESTS += %reldir%/shadowmmu_exec
%canon_reldir%_shadowmmu_exec_SOURCES = %reldir%/shadowmmu_exec.c tests/fake/world_map.h tests/fake/world_map.c
%canon_reldir%_shadowmmu_exec_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_shadowmmu_exec_CFLAGS = $(unit_cflags)
%canon_reldir%_shadowmmu_exec_LDFLAGS = $(unit_ldflags)
%canon_reldir%_shadowmmu_exec_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/shadowmmu_fill
%canon_reldir%_shadowmmu_fill_SOURCES = %reldir%/shadowmmu_fill.c tests/fake/world_map.h tests/fake/world_map.c
%canon_reldir%_shadowmmu_fill_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_shadowmmu_fill_CFLAGS = $(unit_cflags)
%canon_reldir%_shadowmmu_fill_LDFLAGS = $(unit_ldflags)
%canon_reldir%_shadowmmu_fill_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/shadowmmu_gmem
%canon_reldir%_shadowmmu_gmem_SOURCES = %reldir%/shadowmmu_gmem.c tests/fake/world_map.h tests/fake/world_map.c
%canon_reldir%_shadowmmu_gmem_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_shadowmmu_gmem_CFLAGS = $(unit_cflags)
%canon_reldir%_shadowmmu_gmem_LDFLAGS = $(unit_ldflags)
%canon_reldir%_shadowmmu_gmem_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/shadowmmu_model
%canon_reldir%_shadowmmu_model_SOURCES = %reldir%/shadowmmu_model.c tests/fake/world_map.h tests/fake/world_map.c
%canon_reldir%_shadowmmu_model_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_shadowmmu_model_CFLAGS = $(unit_cflags)
%canon_reldir%_shadowmmu_model_LDFLAGS = $(unit_ldflags)
%canon_reldir%_shadowmmu_model_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/world_ring0_memory
%canon_reldir%_world_ring0_memory_SOURCES = %reldir%/world_ring0_memory.c world/ring0/memory.c
%canon_reldir%_world_ring0_memory_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_world_ring0_memory_CFLAGS = $(unit_cflags)
%canon_reldir%_world_ring0_memory_LDFLAGS = $(unit_ldflags)
%canon_reldir%_world_ring0_memory_LDADD = $(MON_LIBS)

UNIT_TESTS += %reldir%/world_ring0_refusal
%canon_reldir%_world_ring0_refusal_SOURCES = %reldir%/world_ring0_refusal.c world/ring0/kmod/refusal.c
%canon_reldir%_world_ring0_refusal_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_world_ring0_refusal_CFLAGS = $(unit_cflags)
%canon_reldir%_world_ring0_refusal_LDFLAGS = $(unit_ldflags)
%canon_reldir%_world_ring0_refusal_LDADD = $(CRITERION_LIBS)

UNIT_TESTS += %reldir%/world_ring0_runner
%canon_reldir%_world_ring0_runner_SOURCES = %reldir%/world_ring0_runner.c world/proc/child.c world/proc/filter.c world/ring0/runner.c world/ring0/start.c
%canon_reldir%_world_ring0_runner_CPPFLAGS = $(unit_cppflags)
%canon_reldir%_world_ring0_runner_CFLAGS = $(unit_cflags)
%canon_reldir%_world_ring0_runner_LDFLAGS = $(unit_ldflags)
%canon_reldir%_world_ring0_runner_LDADD = $(CRITERION_LIBS)

# The process world, with a monitor_main() of the test's own.  AddressSanitizer
# keeps its shadow below 4 GiB, where this world wants the guest.
if !SANITIZERS
check_LIBRARIES += libworldtest.a
libworldtest_a_SOURCES = %reldir%/world_proc_direct.c %reldir%/world_proc_monitor.c %reldir%/world_proc_monitor.h
$(libworldtest_a_OBJECTS): override CFLAGS += $(MON_CFLAGS)

UNIT_TESTS += %reldir%/world_proc
%canon_reldir%_world_proc_SOURCES = %reldir%/world_proc.c host/probe.c world/proc/child.c world/proc/start.c world/proc/filter.c world/proc/ustart.c
%canon_reldir%_world_proc_CFLAGS = $(AM_CFLAGS) -fPIE -fcf-protection=none
%canon_reldir%_world_proc_LDFLAGS = -pie
%canon_reldir%_world_proc_LDADD = libworldtest.a libmonproc.a libworldtest.a libmonproc.a libmonitor.a libmonproc.a $(ZYDIS_LIBS) $(CRITERION_LIBS)
endif

check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif

