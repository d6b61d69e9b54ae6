# SPDX-License-Identifier: GPL-2.0-or-later
dist_man_MANS += %reldir%/btvmm.1
EXTRA_DIST += %reldir%/DESIGN.md %reldir%/STATUS.md %reldir%/world-switch.md
