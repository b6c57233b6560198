#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# How handlers do on machines with many cores, simulated. This part sees to the machine; simulate.py
# records, simulates and prints tables. See --help.

# shellcheck source-path=SCRIPTDIR source=host.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/host.sh"

SIMULATE=$HOST_ROOT/app/simulate/simulate.py
TARGETS="record rte_mempool_magazine:shared_library"

check_options() {
	local option

	for option; do
		case $option in
		-h | --help)
			python3 -B "$SIMULATE" --help
			exit
			;;
		esac
	done
	python3 -B "$SIMULATE" --check "$@" || exit
}

! command -v python3 >/dev/null || check_options "$@"
[ "$(uname -m)" = x86_64 ] || host_die "instructions are decoded for x86-64: this is $(uname -m)"
host_begin "$@"
host_packages gcc libc6-dev meson ninja-build pkgconf python3 libdpdk-dev dpdk-dev libnuma-dev \
	libcapstone-dev
host_packages_optional gnuplot-nox
check_options "$@"
HOST_WANTED=app/simulate/record # a build from before libcapstone was here does not make it
if [ -f "$HOST_ROOT/build/build.ninja" ]; then
	host_build "$HOST_ROOT/build" "$TARGETS" || host_die "it does not build, see above"
else
	host_build "$HOST_ROOT/build" "$TARGETS" -Dtests=false ||
		host_die "it does not build, see above"
fi
host_plugin "$HOST_ROOT/build"
host_run env MAGAZINE_PLUGIN="$HOST_PLUGIN" MAGAZINE_FILE_PREFIX="$HOST_PREFIX" \
	python3 -B "$SIMULATE" "$@"
