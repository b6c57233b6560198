#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Benchmarks: magazine beside every other handler. This part sees to the machine; bench.py runs the
# program and makes the report. See --help.

# shellcheck source-path=SCRIPTDIR source=host.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/host.sh"

BENCH=$HOST_ROOT/app/bench/bench.py
TARGETS="bench rte_mempool_magazine:shared_library rte_mempool_floor:shared_library"
TARGETS+=" rte_mempool_circle:shared_library"
HUGE_MB=6144
HUGE_QUICK_MB=2048
HUGE_LEAST_MB=640

check_options() {
	local option

	for option; do
		case $option in
		-h | --help)
			python3 -B "$BENCH" --help
			exit
			;;
		--quick) HUGE_MB=$HUGE_QUICK_MB ;;
		--from | --from=*) from=1 ;;
		esac
	done
	python3 -B "$BENCH" --check "$@" || exit
}

from=0
! command -v python3 >/dev/null || check_options "$@"
[ $from = 0 ] || exec python3 -B "$BENCH" "$@"

host_begin "$@"
host_packages gcc g++ libc6-dev meson ninja-build pkgconf python3 libdpdk-dev dpdk-dev libnuma-dev \
	libbenchmark-dev gnuplot-nox
check_options "$@"
# To compare with; their rows say so if they are not there.
host_packages_optional libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0
HOST_WANTED=app/bench/bench # a build from before Google Benchmark was here does not make it
if [ -f "$HOST_ROOT/build/build.ninja" ]; then
	host_build "$HOST_ROOT/build" "$TARGETS" ||
		host_die "the benchmarks do not build, see above"
else
	host_build "$HOST_ROOT/build" "$TARGETS" -Dtests=false ||
		host_die "the benchmarks do not build, see above"
fi
host_plugin "$HOST_ROOT/build"
host_hugepages $HUGE_MB $HUGE_LEAST_MB ||
	host_die "benchmarks need hugepages: free some memory, or add it"
host_run env MAGAZINE_PLUGIN="$HOST_PLUGIN" MAGAZINE_FILE_PREFIX="$HOST_PREFIX" \
	python3 -B "$BENCH" "$@"
