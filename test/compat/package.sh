#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# test/compat/package.sh [SUITE...]: the Debian package, of what is committed, on Debian bookworm,
# trixie and sid. Built and looked at by lintian in one chroot; in another, which has no compiler
# tools of Debian's own, installed, used by testpmd and by programs in a shell with nothing set, and
# purged, after which nothing of it is there. Then the same with 'meson install' and 'uninstall'.
#
# The distribution is downloaded once into build-compat/trees (chroot.sh). Logs are in
# build-compat/package-SUITE.log. Speaks TAP; what cannot be had here is a skip.

# shellcheck disable=SC2016,SC2317 # scripts for another shell; functions that check() calls

set -u
HERE=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
ROOT=${HERE%/test/compat}
# shellcheck source-path=SCRIPTDIR source=chroot.sh
. "$HERE/chroot.sh"

DEPENDENCIES=(libdpdk-dev libnuma-dev meson pkgconf)
number=0
failed=0
tree= # the chroot in use
debs= # packages on their way from one chroot to the next
child= # what runs there
step= # what each line of TAP begins with: the suite
log=

tap() {
	number=$((number + 1))
	printf '%s %d - %s\n' "$1" $number "$2"
}

# check NAME COMMAND...: one test. Its output is in the log, and here too if it fails.
check() {
	local name=$1 from
	shift

	from=$(($(wc -l <"$log") + 1))
	if "$@" >>"$log" 2>&1 </dev/null; then
		tap ok "$step: $name"
		return 0
	fi
	tap "not ok" "$step: $name"
	tail -n "+$from" "$log" | tail -n 40 | sed 's/^/# /'
	failed=1
	return 1
}

# In the background and waited for, so that a signal is acted on at once.
inside() {
	local rc

	chroot_run "$tree" "$@" &
	child=$!
	wait $child
	rc=$?
	child=
	return $rc
}

apt_install() {
	inside apt-get -q install "$@"
}

# fresh_tree NAME PACKAGE...: a chroot of the suite with packages, and what is committed in its
# /root/magazine.
fresh_tree() {
	tree=$CHROOT_TOP/package-$step-$1
	shift
	chroot_remove "$tree"
	chroot_make "$step" "$tree" || return
	apt_install "$@" >>"$log" 2>&1 || return
	mkdir "$tree/root/magazine"
	git -C "$ROOT" archive HEAD | tar -x -C "$tree/root/magazine"
}

drop_tree() {
	# Interrupted: what runs there has nothing to give back but the chroot.
	[ -z "$child" ] || {
		kill "$child"
		chroot_users "$tree" | xargs -r kill -KILL
	} 2>/dev/null
	[ -z "$tree" ] || chroot_remove "$tree" || echo "# $CHROOT_WHY"
	rm -rf "$CHROOT_TOP/package-$step-clean".{before,after} ${debs:+"$debs"}
	tree=
	debs=
}

# install_debs NAME...: those that were built.
install_debs() {
	inside sh -c 'cd /root/magazine/debs && apt-get -q install $(printf " ./%s_*.deb" "$@")' \
		install_debs "$@"
}

build_package() {
	inside sh -c 'cd /root/magazine && dpkg-buildpackage -us -uc -b'
}

# Whoever builds it for himself is no developer of Debian, and closes no bug with it.
lintian_is_content() {
	inside sh -c 'cd /root && lintian --allow-root --fail-on error \
		--suppress-tags bad-distribution-in-changes-file *.changes'
}

# names FILE: of all that is there, except what is downloaded.
names() {
	inside find / -xdev -path /root/magazine -prune -o -path /var/cache/apt -prune -o -print |
		sort >"$tree.$1"
}

nothing_left() {
	names after
	diff "$tree.before" "$tree.after"
}

# use_in_shell TEST: one of debian/tests, in an environment of nothing but a search path.
use_in_shell() {
	inside env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "/root/magazine/debian/tests/$1"
}

purge() {
	inside apt-get -q purge magazine-dpdk libmagazine0 libmagazine-dev
}

meson_install() {
	inside sh -c 'cd /root/magazine && meson setup build -Dtests=false &&
		ninja -C build install && ldconfig'
}

meson_uninstall() {
	inside sh -c 'cd /root/magazine && ninja -C build uninstall && ldconfig && rm -rf build'
}

# A folder of the mirror that is gone, or a network that is, is no failure of the package.
skip_suite() {
	tap ok "$step # SKIP ${CHROOT_WHY:-packages of $step cannot be had, see $log}"
	drop_tree
}

package_of() {
	step=$1
	log=$CHROOT_TOP/package-$step.log
	: >"$log"
	fresh_tree build build-essential debhelper lintian "${DEPENDENCIES[@]}" || {
		skip_suite
		return
	}
	check "dpkg-buildpackage builds it" build_package &&
		check "lintian has no error" lintian_is_content
	debs=$CHROOT_TOP/package-$step.debs
	mkdir -p "$debs"
	mv "$tree"/root/*.deb "$debs" 2>/dev/null || {
		drop_tree
		return
	}
	chroot_remove "$tree"
	fresh_tree clean dpdk-dev gcc libc6-dev "${DEPENDENCIES[@]}" || {
		skip_suite
		return
	}
	mv "$debs" "$tree/root/magazine/debs"
	names before
	check "the driver installs" install_debs magazine-dpdk libmagazine0
	check "testpmd finds the driver by itself" use_in_shell testpmd
	check "the development files install" install_debs libmagazine-dev
	check "programs are built with it" use_in_shell build
	check "purge" purge
	check "purge leaves nothing" nothing_left
	check "meson install, without dpkg-dev" meson_install
	check "testpmd finds that driver by itself" use_in_shell testpmd
	check "programs are built with that" use_in_shell build
	check "ninja uninstall" meson_uninstall
	check "uninstall leaves nothing" nothing_left
	drop_tree
}

main() {
	local suite

	trap drop_tree EXIT
	trap 'exit 143' TERM INT HUP
	mkdir -p "$CHROOT_TOP"
	if ! git -C "$ROOT" rev-parse -q --verify HEAD >/dev/null 2>&1; then
		echo "1..0 # SKIP $ROOT is no git repository: the package is of what is committed"
		exit 0
	fi
	[ $# -gt 0 ] || set -- bookworm trixie sid
	for suite; do
		package_of "$suite"
	done
	echo "1..$number"
	exit $failed
}

main "$@"
