# SPDX-License-Identifier: GPL-2.0-or-later
#
# Sourced by the scripts that fetch Debian packages: apt with a configuration of
# its own below $out/apt, so that neither the system's package set nor its list of
# architectures is touched and no privileges are needed.
#
# The caller sets: me (its name in messages), out (absolute directory), offline
# (1: what is missing is an error), apt_arches ("amd64 i386"), apt_types ("deb" or
# "deb deb-src"); perhaps apt_backports=1: kernels are the release's backports'.  What has been unpacked once is kept.

die()
{
    echo "$me: $*" >&2
    exit 1
}

say()
{
    echo "$me: $*"
}

need_tools()
{
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 || die "the program '$tool' is missing"
    done
}

# One at a time in the same directory.
apt_lock()
{
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$out/.lock"
        flock 9
    fi
}

# The system's package sources, but those that have nothing to do with the
# distribution (they need not offer all architectures and only cost time).
apt_setup()
{
    mkdir -p "$out/apt/lists/partial" "$out/apt/cache/archives/partial" \
             "$out/apt/parts" "$out/deb"
    : >"$out/apt/status"
    : >"$out/apt/preferences"
    for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -s "$f" ] && grep -qi debian "$f" || continue
        for type in $apt_types; do
            sed -n "s/^[ ]*deb[ ]/$type /p" "$f"
        done >"$out/apt/parts/system-$(basename "$f")"
    done
    for f in /etc/apt/sources.list.d/*.sources; do
        [ -f "$f" ] && grep -qi debian "$f" || continue
        sed "s/^Types:.*/Types: $apt_types/" "$f" >"$out/apt/parts/$(basename "$f")"
    done
    [ "${apt_backports:-0}" = 0 ] || apt_setup_backports
    [ -n "$(ls "$out/apt/parts")" ] || die "no Debian package source found in /etc/apt"
}

# The kernels of the release's backports, from the same place as the release itself.
apt_setup_backports()
{
    release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    [ -n "$release" ] || die "/etc/os-release names no release"
    for f in "$out"/apt/parts/*; do
        new=$out/apt/parts/backports-$(basename "$f")
        case $f in
        *.sources) awk -v RS= -v r="$release" '$0 ~ "\nSuites:[^\n]* " r "( |\n|$)" {
                sub(/\nSuites:[^\n]*/, "\nSuites: " r "-backports"); print $0 "\n" }' "$f" >"$new" ;;
        *) sed -n "s/ $release / $release-backports /p" "$f" >"$new" ;;
        esac
    done
    printf 'Package: linux-*\nPin: release n=%s-backports\nPin-Priority: 900\n' "$release" >"$out/apt/preferences"
}

# apt_run PROGRAM ARGS...: the program under the private configuration.
apt_run()
{
    prog=$1
    shift
    APT_CONFIG=$out/apt/apt.conf "$prog" "$@"
}

apt_config()
{
    quoted=$(for a in $apt_arches; do printf '"%s"; ' "$a"; done)
    cat >"$out/apt/apt.conf" <<CONF
APT::Architecture "amd64";
APT::Architectures { $quoted};
APT::Sandbox::User "";
Acquire::Languages "none";
Debug::NoLocking "1";
Dir::State "$out/apt";
Dir::State::lists "$out/apt/lists";
Dir::State::status "$out/apt/status";
Dir::Cache "$out/apt/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$out/apt/parts";
Dir::Etc::preferences "$out/apt/preferences";
CONF
}

# resolve PACKAGE PATTERN: the first package it depends on whose name matches.
resolve()
{
    apt_run apt-cache depends --no-recommends --no-suggests "$1" 2>/dev/null |
        sed -n 's/^ *|\{0,1\}Depends: *//p' | sed 's/:[a-z0-9]*$//' | grep -E "^$2\$" | head -n 1
}

updated=0
update_lists() # WHAT-FOR
{
    [ $updated = 0 ] || return 0
    [ $offline = 0 ] || die "$1 is not in $out yet and --offline was given"
    apt_setup
    apt_config
    say "reading package lists"
    # One list of several may be unreachable; what is needed may be in the others.
    apt_run apt-get -q update >"$out/apt/update.log" 2>&1 ||
        say "warning: not all package lists could be read; see $out/apt/update.log"
    updated=1
}

# must_resolve PACKAGE PATTERN: sets pkg.
must_resolve()
{
    pkg=$(resolve "$1" "$2") || pkg=
    [ -n "$pkg" ] || die "package '$1' is not in the package lists (no network?); see $out/apt/update.log"
}

# download PACKAGE ARCHITECTURE: sets deb.
download()
{
    say "fetching $1:$2"
    (cd "$out/deb" && apt_run apt-get -q download "$1:$2") >"$out/apt/download.log" 2>&1 ||
        die "cannot download '$1:$2'; see $out/apt/download.log"
    deb=$(ls -t "$out/deb/${1}"_*_"$2".deb "$out/deb/${1}"_*_all.deb 2>/dev/null | head -n 1)
    [ -f "$deb" ] || die "apt-get gave no file for '$1:$2'"
}

unpack() # DEB DIRECTORY
{
    mkdir -p "$2"
    dpkg-deb -x "$1" "$2" || die "cannot unpack $1"
}
