#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# test/compat/run.sh [SUITE...]: README's two commands on other distributions: forward.sh and
# test/run.sh, of what is committed, as they are, in chroots of Debian trixie (DPDK 24.11) and sid
# (25.11). Each test that failed there fails here, by its name.
#
# MAGAZINE_FULL=1, which test/run.sh --full sets, runs the whole default of test/run.sh; without it
# model, mutation, arm, numa and fuzz are left out, which depend least on DPDK's version.
# MAGAZINE_COMPAT_SUITES has the names of others, or is empty for the default. Logs:
# build-compat/run-SUITE.log.

set -u
kind=run
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/checks.sh"

WANTED='style unit contract dataplane bench stress tsan asan'
[ "${MAGAZINE_FULL:-0}" = 0 ] || WANTED=
WANTED=${MAGAZINE_COMPAT_SUITES-$WANTED}

forwards() {
	inside /root/magazine/app/forward.sh --seconds 3
}

run_of() {
	fresh_tree tests ca-certificates || {
		skip_suite
		return
	}
	check "forward.sh forwards" forwards
	# shellcheck disable=SC2086 # suites are words
	check_tests $WANTED
	drop_tree
}

[ $# -gt 0 ] || set -- trixie sid
on_suites run_of "$@"
