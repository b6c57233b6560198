#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The main job: the distribution's testpmd, forwarding on the magazine driver. This part sees to the
# machine; forward.py runs and measures. See --help.

# shellcheck source-path=SCRIPTDIR source=host.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/host.sh"

FORWARD=$HOST_ROOT/app/forward.py
DRIVER=rte_mempool_magazine:shared_library # name of the meson target
huge=0

# Bad options, or --help, before anything is touched: if there is a Python to read them.
plan=
if command -v python3 >/dev/null; then
	plan=$(python3 -B "$FORWARD" --plan "$@") || exit
	case $plan in
	*[!0-9]*)
		printf '%s\n' "$plan"
		exit 0
		;;
	esac
fi

host_begin "$@"
host_packages gcc libc6-dev meson ninja-build pkgconf python3 libdpdk-dev dpdk-dev libnuma-dev
[ -n "$plan" ] || plan=$(python3 -B "$FORWARD" --plan "$@") || exit
if [ -f "$HOST_ROOT/build/build.ninja" ]; then
	host_build "$HOST_ROOT/build" $DRIVER || host_die "the driver does not build, see above"
else
	host_build "$HOST_ROOT/build" $DRIVER -Dtests=false ||
		host_die "the driver does not build, see above"
fi
host_plugin "$HOST_ROOT/build"

if [ "$plan" -gt 0 ]; then
	if host_hugepages "$plan"; then
		huge=1
	else
		host_say "running with --no-huge instead"
	fi
fi
host_run env FORWARD_PLUGIN="$HOST_PLUGIN" MAGAZINE_FILE_PREFIX="$HOST_PREFIX" MAGAZINE_HUGE=$huge \
	python3 -B "$FORWARD" "$@"
