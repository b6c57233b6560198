# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2317 # variables, and functions, for the caller
#
# What the scripts of this folder share. Sourced by one that has set `kind`, its own name; brings
# chroot.sh. on_suites calls a function for each distribution, with `step` and `log` set.

HERE=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
ROOT=${HERE%/test/compat}
# shellcheck source-path=SCRIPTDIR source=chroot.sh
. "$HERE/chroot.sh"

number=0
failed=0
tree=        # the chroot in use
leftovers=() # what goes with it
child=       # what runs there
step=        # what each line of TAP begins with: the distribution
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
	wait "$child"
	rc=$?
	child=
	return $rc
}

apt_install() {
	inside apt-get -q install "$@"
}

# fresh_tree NAME PACKAGE...: a chroot of the distribution with packages, and what is committed in
# its /root/magazine.
fresh_tree() {
	tree=$CHROOT_TOP/${kind:?}-$step-$1
	shift
	chroot_remove "$tree"
	chroot_make "$step" "$tree" || return
	apt_install "$@" >>"$log" 2>&1 || return
	mkdir "$tree/root/magazine"
	git -C "$ROOT" archive HEAD | tar -x -C "$tree/root/magazine"
}

# check_tests [SUITE...]: test/run.sh there, of those suites or its default. What failed is named,
# and the last line is shown.
check_tests() {
	local from

	from=$(($(wc -l <"$log") + 1))
	check "test/run.sh${1:+ --only $*} passes" \
		inside /root/magazine/test/run.sh ${1:+--only "$@"} ||
		tail -n "+$from" "$log" | grep FAILED | sed 's/^/# /'
	echo "# $step: $(tail -n 1 "$log")"
}

drop_tree() {
	# Interrupted: what runs there has nothing to give back but the chroot.
	[ -z "$child" ] || {
		kill "$child"
		chroot_users "$tree" | xargs -r kill -KILL
	} 2>/dev/null
	[ -z "$tree" ] || chroot_remove "$tree" || echo "# $CHROOT_WHY"
	rm -rf ${leftovers[@]+"${leftovers[@]}"}
	tree=
	leftovers=()
}

# A folder of the mirror that is gone, or a network that is, is no failure of ours.
skip_suite() {
	tap ok "$step # SKIP ${CHROOT_WHY:-packages of $step cannot be had, see $log}"
	drop_tree
}

# on_suites FUNCTION SUITE...: the function for each, then the plan and the exit status.
on_suites() {
	local each=$1
	shift

	trap drop_tree EXIT
	trap 'exit 143' TERM INT HUP
	mkdir -p "$CHROOT_TOP"
	if ! git -C "$ROOT" rev-parse -q --verify HEAD >/dev/null 2>&1; then
		echo "1..0 # SKIP $ROOT is no git repository: tested is what is committed"
		exit 0
	fi
	for step; do
		log=$CHROOT_TOP/$kind-$step.log
		: >"$log"
		$each
	done
	echo "1..$number"
	exit $failed
}
