#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# test/compat/tree.sh [SUITE...]: tools/dpdk-tree.sh with the source of DPDK that Debian bookworm,
# trixie and sid have. Library and driver are built there with the rest, without a warning; testpmd
# forwards on the driver that is inside it; programs are linked with the static and with the shared
# libraries that were installed; and what is taken out again leaves nothing.
#
# MAGAZINE_DPDK=DIR: another source tree of DPDK instead, built in a chroot of the one SUITE. It is
# also built and installed as it is, before anything is laid into it, and the unit and contract
# tests pass with that: test/compat/run.sh has no distribution for it.
# Few of DPDK's drivers are built, to save time. Logs are in build-compat/tree-SUITE.log.

set -u
kind=tree
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/checks.sh"

PACKAGES=(build-essential meson pkgconf python3-pyelftools libnuma-dev)
DRIVERS='mempool/magazine,mempool/ring,mempool/stack,mempool/bucket,bus/vdev,net/null,net/ring'
# A warning in a file of ours names it so.
OURS='\.\./\(lib\|drivers/mempool\)/magazine/.*warning:'

in_dpdk() {
	inside sh -c 'cd /root/dpdk && '"$1"
}

fetch_dpdk() {
	if [ -n "${MAGAZINE_DPDK:-}" ]; then
		cp -a "$MAGAZINE_DPDK" "$tree/root/dpdk" && rm -rf "$tree/root/dpdk/build"
		return
	fi
	sed -n 's/^deb /deb-src /p' "$tree/etc/apt/sources.list" \
		>"$tree/etc/apt/sources.list.d/src.list"
	# The authors' archive alone: Debian's changes are for packages.
	inside sh -ec 'cd /root
		apt-get -q update
		apt-get source --print-uris dpdk | grep orig.tar | tr -d "\047" >uris
		read -r uri name rest <uris
		/usr/lib/apt/apt-helper download-file "$uri" "/root/$name"
		mkdir dpdk
		tar -xf "$name" -C dpdk --strip-components=1'
}

lay() {
	inside /root/magazine/tools/dpdk-tree.sh /root/dpdk
}

# A build folder is told of the files that have come.
configure() {
	in_dpdk "rm -f build.log; meson setup \$([ ! -d build ] || echo --reconfigure) build \
		-Dplatform=generic -Ddeveloper_mode=enabled -Dtests=false \
		-Denable_apps=test-pmd -Denable_drivers='$DRIVERS' -Ddefault_library=static"
}

build() {
	in_dpdk 'ninja -C build >build.log 2>&1 || { tail -n 40 build.log; exit 1; }'
}

has_no_warnings() {
	! grep "$OURS" "$tree/root/dpdk/build.log"
}

# Of the package's test: the testpmd that is found first.
static_testpmd() {
	in_dpdk 'PATH=$PWD/build/app:$PATH exec /root/magazine/debian/tests/testpmd'
}

install_dpdk() {
	in_dpdk 'ninja -C build install && ldconfig'
}

# build_user [--static]: a program with the cache and a pool by name.
build_user() {
	inside sh -ec 'cd /root
		export PKG_CONFIG_PATH=$(dirname "$(find /usr/local -name libdpdk.pc)")
		cc -std=gnu11 -O2 -Wall -Wextra -Werror -o user magazine/debian/tests/user.c \
			$(pkg-config --cflags libdpdk) $(pkg-config '"${1:-}"' --libs libdpdk)
		timeout 120 ./user --no-pci --no-huge -m 256 --file-prefix="magazine-$$"'
}

take_out() {
	in_dpdk 'rm -rf build build.log && /root/magazine/tools/dpdk-tree.sh --remove . &&
		diff -r -x __pycache__ /root/untouched .'
}

tree_of() {
	fresh_tree build "${PACKAGES[@]}" && fetch_dpdk >>"$log" 2>&1 || {
		skip_suite
		return
	}
	step="$step, DPDK $(cat "$tree/root/dpdk/VERSION")"
	cp -a "$tree/root/dpdk" "$tree/root/untouched"
	if [ -n "${MAGAZINE_DPDK:-}" ] && check "it is configured without ours" configure &&
		check "it is built without ours" build &&
		check "it is installed without ours" install_dpdk; then
		check_tests unit contract
	fi
	if check "library and driver are laid into the tree" lay &&
		check "it is configured" configure && check "it is built" build; then
		check "nothing of ours warns" has_no_warnings
		check "testpmd forwards on the driver inside it" static_testpmd
		check "it is installed" install_dpdk
		check "a program is linked statically" build_user --static
		check "a program uses the shared libraries" build_user
	fi
	check "what is taken out leaves nothing" take_out
	drop_tree
}

if [ -n "${MAGAZINE_DPDK:-}" ]; then
	on_suites tree_of "${1:-bookworm}"
fi
[ $# -gt 0 ] || set -- bookworm trixie sid
on_suites tree_of "$@"
