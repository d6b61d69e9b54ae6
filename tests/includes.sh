#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Who includes whom: base <- cpu <- shadowmmu <- bt; base <- devices; world over
# these; host on top.  The contract between worlds (world/world.h, world/cross.h,
# world/usercall.def) may be included by all.  bt/decode.c alone includes Zydis.
set -u
cd "${SRCDIR:-.}" || exit 99
bad=0

# may <folder> <folders it may include>
may() {
    dir=$1
    shift
    allowed=" $dir $* "
    for f in "$dir"/*.c "$dir"/*.h "$dir"/*.S "$dir"/*.def; do
        [ -f "$f" ] || continue
        seen=$((seen + 1))
        for inc in $(sed -n 's/^[ ]*#[ ]*include[ ]*"\([^"]*\)".*/\1/p' "$f"); do
            case $inc in
            world/world.h | world/cross.h | world/usercall.def) continue ;;
            config.h) [ "$dir" = host ] && continue ;;
            esac
            target=${inc%/*}
            [ "$target" = "$inc" ] && { echo "$f: include of $inc is not root-relative"; bad=1; continue; }
            case $allowed in
            *" $target "*) ;;
            *) echo "$f: $dir must not include $inc"; bad=1 ;;
            esac
        done
    done
}

seen=0
may base
may cpu base
may shadowmmu base cpu
may bt base cpu shadowmmu
may devices/hot base
may world base cpu shadowmmu bt devices/hot
may world/proc base cpu shadowmmu bt devices/hot world
may world/ring0 base cpu shadowmmu bt devices/hot world world/proc
may host base cpu shadowmmu bt devices/hot world world/proc world/ring0

# Library headers in monitor code.
for f in base/*.[ch] cpu/*.[ch] shadowmmu/*.[ch] bt/*.[ch] devices/hot/*.[ch] world/*.[ch]; do
    [ -f "$f" ] || continue
    for inc in $(sed -n 's/^[ ]*#[ ]*include[ ]*<\([^>]*\)>.*/\1/p' "$f"); do
        case $inc in
        stdarg.h | stdbool.h | stddef.h | stdint.h) ;;
        Zydis/*) [ "$f" = bt/decode.c ] || { echo "$f: only bt/decode.c includes Zydis"; bad=1; } ;;
        *) echo "$f: monitor code includes <$inc>"; bad=1 ;;
        esac
    done
done

[ "$seen" -gt 20 ] || { echo "includes: only $seen files seen"; exit 99; }
exit $bad
