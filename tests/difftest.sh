#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A fixed set of random instruction sequences, the same on every run: the real
# CPU and our engines must agree.  DIFFTEST_COUNT and DIFFTEST_SEED widen it.
exec "${BUILDDIR:-.}/tests/diff/difftest" --seed "${DIFFTEST_SEED:-1}" --count "${DIFFTEST_COUNT:-200000}" \
    --out "${TMPDIR:-/tmp}"
