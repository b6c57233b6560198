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
kind=package
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/checks.sh"

DEPENDENCIES=(libdpdk-dev libnuma-dev meson pkgconf)
debs= # packages on their way from one chroot to the next

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

package_of() {
	debs=$CHROOT_TOP/package-$step.debs
	leftovers=("$CHROOT_TOP/package-$step-clean".{before,after} "$debs")
	fresh_tree build build-essential debhelper lintian "${DEPENDENCIES[@]}" || {
		skip_suite
		return
	}
	check "dpkg-buildpackage builds it" build_package &&
		check "lintian has no error" lintian_is_content
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

[ $# -gt 0 ] || set -- bookworm trixie sid
on_suites package_of "$@"
