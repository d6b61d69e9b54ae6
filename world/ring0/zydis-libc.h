/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What Zydis gets for a C library in the monitor image: -include'd before its own headers, with ZYAN_NO_LIBC and
 * ZYAN_CUSTOM_LIBC defined.  (Its own replacements write byte by byte, which makes decoding six times slower.)
 */
#include "base/mem.h"

#define ZYAN_MEMCPY memcpy
#define ZYAN_MEMSET memset
