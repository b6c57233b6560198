# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034 # what is set here is used by who sources this
#
# What forward.sh, bench.sh and run.sh need of the machine: packages, hugepages, a file prefix of
# one's own. Sourced, not run. Everything taken is given back by host_cleanup, which runs at any
# exit, and only what was taken: somebody else may be doing the same on this machine at the same
# time.

HOST_ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
HOST_SELF=${0##*/}
HOST_RUNTIME=/var/run/dpdk
HOST_MOUNT=/dev/hugepages
HOST_MARK=magazine # device name of a hugetlbfs that one of these scripts mounted
HOST_MARK_DIR=magazine+dir # the same, and the folder was made for it
HOST_USERS=.magazine-users # a file in there that each of these scripts holds open
HOST_UNMOUNT_TRIES=10      # twice a second

HOST_SCRATCH=
HOST_PREFIX=
HOST_CHILD=
HOST_LANES=() # process numbers
HOST_PLUGIN=
HOST_STAGE=
HOST_WANTED= # a file that a build makes; one that knows nothing of it is configured again
HOST_HUGE_DIR=
HOST_HUGE_KB=0
HOST_HUGE_ADDED=0
HOST_HUGE_MB=0
HOST_HUGE_FD=
HOST_HUGE_COUNT=0
HOST_LOCK_FD=
HOST_HELD=0 # 1: a signal is only noted
HOST_SIGNAL= # exit status for a signal that has come
HOST_MADE_RUNTIME=0
HOST_LAST_LINE= # printed when all is cleaned up

host_say() {
	printf '%s: %s\n' "$HOST_SELF" "$*" 2>/dev/null
}

host_die() {
	printf '%s: %s\n' "$HOST_SELF" "$*" >&2
	exit 2
}

# host_begin: to be called first; from here on every exit cleans up.
host_begin() {
	[ "$(uname -s)" = Linux ] ||
		host_die "needs Linux with DPDK 22.11 or later, this is $(uname -s)"
	[ "$(id -u)" = 0 ] ||
		host_die "needs root for packages and hugepages; run it again as: sudo $0${*:+ $*}"
	unset RUNTIME_DIRECTORY # else EAL would put its sockets elsewhere
	trap host_cleanup EXIT
	trap 'host_signal 129' HUP
	trap 'host_signal 130' INT
	trap 'host_signal 143' TERM
	HOST_SCRATCH=$(mktemp -d) || host_die "cannot make a temporary folder in ${TMPDIR:-/tmp}"
	HOST_PREFIX=$(printf 'mag-%d-%04x%04x' $$ $((RANDOM * 2)) $((RANDOM * 2)))
	[ -d $HOST_RUNTIME ] || HOST_MADE_RUNTIME=1
}

host_signal() {
	HOST_SIGNAL=$1
	[ $HOST_HELD = 1 ] || exit "$1"
}

# Between these two a signal waits. Whatever must not end half-way runs no command but the shell's
# own there: Ctrl-C goes to every process of the terminal.
host_hold() {
	HOST_HELD=1
}

host_release() {
	HOST_HELD=0
	[ -z "$HOST_SIGNAL" ] || exit "$HOST_SIGNAL"
}

host_has() {
	case $1 in
	gcc) command -v cc gcc >/dev/null ;;
	libc6-dev) echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1 ;;
	ninja-build) command -v ninja >/dev/null ;;
	pkgconf) command -v pkg-config >/dev/null ;;
	libdpdk-dev) pkg-config --exists libdpdk 2>/dev/null ;;
	libnuma-dev) pkg-config --exists numa 2>/dev/null ;;
	libbenchmark-dev) pkg-config --exists benchmark 2>/dev/null ;;
	libcapstone-dev) pkg-config --exists capstone 2>/dev/null ;;
	libcmocka-dev) pkg-config --exists cmocka 2>/dev/null ;;
	dpdk-dev) command -v dpdk-testpmd >/dev/null ;;
	gnuplot-nox) command -v gnuplot >/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# host_packages NAME...: installs the Debian packages whose content is not there yet.
host_packages() {
	local name missing=() log=$HOST_SCRATCH/apt.log
	local apt=(apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=1
		-o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)

	for name; do
		host_has "$name" || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null ||
		host_die "missing: ${missing[*]} (names as in Debian)," \
			"and there is no apt-get here;" \
			"install them with this system's package manager and run this again"
	host_say "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	host_run "${apt[@]}" update >"$log" 2>&1
	if ! host_run "${apt[@]}" install --no-install-recommends "${missing[@]}" \
		>>"$log" 2>&1; then
		# Another apt-get may have held the lists while ours wanted to update them.
		sleep 10
		host_run "${apt[@]}" update >>"$log" 2>&1
		host_run "${apt[@]}" install --no-install-recommends "${missing[@]}" \
			>>"$log" 2>&1 || {
			grep '^[EW]:' "$log" | tail -n 4 >&2
			host_die "cannot install ${missing[*]}:" \
				"connect this machine to its Debian mirror," \
				"or install them by hand" \
				"(apt-get install ${missing[*]}), and run this again"
		}
	fi
	for name in "${missing[@]}"; do
		host_has "$name" ||
			host_die "package $name is installed but does not provide what is needed;" \
				"Debian 12 or 13 does, see 'apt-cache policy $name'"
	done
}

# host_packages_optional NAME...: the same, one by one; what cannot be had is not missed.
host_packages_optional() {
	local name updated=0
	local apt=(apt-get -q -y -o DPkg::Lock::Timeout=300
		-o Acquire::Retries=1 -o Acquire::http::Timeout=20)

	command -v apt-get >/dev/null || return 0
	export DEBIAN_FRONTEND=noninteractive
	for name; do
		! dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null |
			grep -q '^ii' || continue
		! host_run "${apt[@]}" install --no-install-recommends "$name" \
			>/dev/null 2>&1 || continue
		[ $updated = 1 ] || host_run "${apt[@]}" update >/dev/null 2>&1
		updated=1
		host_run "${apt[@]}" install --no-install-recommends "$name" >/dev/null 2>&1 ||
			host_say "no $name here: what needs it is left out"
	done
}

# host_run COMMAND...: in the background and waited for, so that a signal is acted on at once.
host_run() {
	local rc

	"$@" <&0 &
	HOST_CHILD=$!
	wait "$HOST_CHILD"
	rc=$?
	HOST_CHILD=
	return $rc
}

# host_lane NAME: to be called first in a shell in the background, whose process number is then put
# into HOST_LANES. It has a file prefix of its own, so that what it starts and leaves behind is told
# from that of other lanes.
host_lane() {
	HOST_PREFIX+=-$1-
	HOST_LANES=()
	HOST_SIGNAL=
	HOST_HELD=0
	trap host_lane_cleanup EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

host_lane_cleanup() {
	local rc=$?

	trap '' HUP INT TERM PIPE
	trap - EXIT
	[ -z "$HOST_CHILD" ] || host_end 100 "$HOST_CHILD"
	host_kill_leftovers
	host_remove_files
	exit $rc
}

# host_end TENTHS PROCESS...: tells children to end, and kills those that have not after so many
# tenths of a second.
host_end() {
	local tries=$1 pid
	shift

	kill -TERM "$@" 2>/dev/null
	for pid; do
		for (( ; tries > 0; tries--)); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
}

# host_build FOLDER TARGETS [meson option...]: one at a time in one tree. Says what is wrong if it
# fails.
host_build() {
	local dir=$1 targets=$2 log=$HOST_SCRATCH/${1##*/}.log lock rc
	# meson does not pass on the signal that ends it: host_kill_leftovers finds ninja and its
	# compilers by this.
	local -x MAGAZINE_FILE_PREFIX=$HOST_PREFIX
	shift 2

	host_say "building in ${dir#"$HOST_ROOT/"}"
	exec {lock}<"$HOST_ROOT"
	flock -n "$lock" || {
		host_say "waiting for another build in this tree"
		host_run flock "$lock"
	}
	# shellcheck disable=SC2086 # targets are words
	host_configure "$dir" "$@" >"$log" 2>&1 &&
		host_run meson compile -C "$dir" $targets >>"$log" 2>&1
	rc=$?
	exec {lock}<&-
	[ $rc = 0 ] || tail -n 40 "$log" >&2
	return $rc
}

host_configure() {
	local dir=$1
	shift

	if [ -f "$dir/build.ninja" ]; then
		[ -z "$HOST_WANTED" ] || grep -q "^build $HOST_WANTED:" "$dir/build.ninja" ||
			host_run meson setup --reconfigure "$dir" "$HOST_ROOT" || return
		[ $# = 0 ] || host_run meson configure "$dir" "$@" ||
			host_run meson setup --wipe "$dir" "$HOST_ROOT" "$@"
	else
		host_run meson setup "$dir" "$HOST_ROOT" "$@"
	fi
}

# host_plugin FOLDER: sets HOST_PLUGIN to the driver that was built there. EAL loads none from below
# a folder that all may write to, /tmp for one; from there a copy is used, for as long as we run.
host_plugin() {
	local driver=drivers/mempool/magazine/librte_mempool_magazine.so
	local lib=lib/magazine dir=$1 copy

	HOST_PLUGIN=$1/$driver
	while [ "$dir" != / ]; do
		if [ -n "$(find "$dir" -maxdepth 0 -perm -o=w)" ]; then
			[ -n "$HOST_STAGE" ] ||
				HOST_STAGE=$(mktemp -d /run/magazine.XXXXXX) || return 1
			copy=$HOST_STAGE/${1##*/}
			mkdir -p "$copy/$lib" "$copy/${driver%/*}"
			cp -dp "$1/$lib"/lib*.so* "$copy/$lib" 2>/dev/null
			cp -dp "$1/$driver"* "$copy/${driver%/*}" 2>/dev/null
			HOST_PLUGIN=$copy/$driver
			return
		fi
		dir=$(dirname "$dir")
	done
}

# One lock for all who do the same on this machine, and no lock file: the lock is on the kernel's
# own. Opened once: who has the lock, as host_cleanup may, has it again at once.
host_lock() {
	[ -n "$HOST_LOCK_FD" ] || exec {HOST_LOCK_FD}<"$HOST_HUGE_DIR/nr_hugepages" || return
	flock "$HOST_LOCK_FD"
}

host_unlock() {
	flock -u "$HOST_LOCK_FD"
}

host_find_page_size() {
	HOST_HUGE_KB=2048
	if [ ! -d /sys/kernel/mm/hugepages/hugepages-2048kB ]; then
		HOST_HUGE_KB=$(awk '/^Hugepagesize:/ { print $2 }' /proc/meminfo)
	fi
	HOST_HUGE_DIR=/sys/kernel/mm/hugepages/hugepages-${HOST_HUGE_KB:-0}kB
	[ -w "$HOST_HUGE_DIR/nr_hugepages" ]
}

# Finds or makes a hugetlbfs of our page size. The open file keeps others from unmounting it; the
# lock, shared with the others of these scripts, tells the last of them that it is. EAL locks the
# folder itself: not that one.
host_mount() {
	local mark=$HOST_MARK page found

	page=pagesize=$((HOST_HUGE_KB / 1024))M
	[ "$HOST_HUGE_KB" -lt 1048576 ] || page=pagesize=$((HOST_HUGE_KB / 1048576))G
	found=$(awk -v page="$page" \
		'$3 == "hugetlbfs" && $4 ~ "(^|,)" page "(,|$)" { print $2; exit }' /proc/mounts)
	if [ -n "$found" ]; then
		HOST_MOUNT=$found
	else
		if [ ! -d $HOST_MOUNT ]; then
			mkdir $HOST_MOUNT 2>/dev/null || return 1
			mark=$HOST_MARK_DIR
		fi
		if ! mount -t hugetlbfs -o "$page" $mark $HOST_MOUNT 2>/dev/null; then
			[ $mark != $HOST_MARK_DIR ] || rmdir $HOST_MOUNT
			return 1
		fi
	fi
	exec {HOST_HUGE_FD}>"$HOST_MOUNT/$HOST_USERS" || return
	flock -s -n "$HOST_HUGE_FD"
}

# host_users FOLDER: 'process 12 (name)' of each that works in it, has a file of it open or mapped.
host_users() {
	local proc found=

	for proc in /proc/[0-9]*; do
		{ find "$proc/cwd" "$proc/root" "$proc/fd" -maxdepth 1 -type l -printf '%l\n'
			awk '{ print $6 }' "$proc/maps"; } 2>/dev/null | awk -v dir="$1" \
			'$0 == dir || index($0, dir "/") == 1 { found = 1 } END { exit !found }' ||
			continue
		found+="${found:+, }process ${proc#/proc/} ($(cat "$proc/comm" 2>/dev/null))"
	done
	printf '%s' "${found:-no process that can be seen}"
}

# The last of these scripts to leave unmounts what the first of them mounted, or says why it cannot.
host_unmount() {
	local mark tries last=1 remedy="umount $HOST_MOUNT"

	[ -n "$HOST_HUGE_FD" ] || return 0
	if flock -x -n "$HOST_HUGE_FD"; then rm -f "$HOST_MOUNT/$HOST_USERS"; else last=0; fi
	exec {HOST_HUGE_FD}<&-
	HOST_HUGE_FD=
	[ $last = 1 ] || return 0
	mark=$(awk -v dir="$HOST_MOUNT" \
		'$2 == dir && $3 == "hugetlbfs" { print $1; exit }' /proc/mounts)
	case $mark in
	"$HOST_MARK" | "$HOST_MARK_DIR")
		# A process that has just been killed lets go of its pages a little later.
		for ((tries = 0; tries < HOST_UNMOUNT_TRIES; tries++)); do
			if umount "$HOST_MOUNT" 2>/dev/null; then
				[ "$mark" != $HOST_MARK_DIR ] || rmdir "$HOST_MOUNT"
				return
			fi
			sleep 0.5
		done
		[ "$mark" != $HOST_MARK_DIR ] || remedy+=" && rmdir $HOST_MOUNT"
		host_say "left: hugetlbfs on $HOST_MOUNT, in use by $(host_users "$HOST_MOUNT");" \
			"when they have ended, as root: $remedy"
		;;
	esac
}

# Sets HOST_HUGE_COUNT to the pages asked for. The kernel's total also has those that somebody still
# uses but that are no longer asked for (surplus); the two files are not read at one instant, so
# until nothing changed in between.
host_huge_count() {
	local total surplus again

	while :; do
		read -r surplus <"$HOST_HUGE_DIR/surplus_hugepages"
		read -r total <"$HOST_HUGE_DIR/nr_hugepages"
		read -r again <"$HOST_HUGE_DIR/surplus_hugepages"
		[ "$surplus" != "$again" ] || break
	done
	HOST_HUGE_COUNT=$((total - surplus))
}

# host_hugepages MB [LEAST_MB]: reserves MB on each node, adding to what others have reserved.
# Sets HOST_HUGE_MB to what there is for us. Fails, and says why, with less than LEAST_MB.
host_hugepages() {
	local want=$1 least=${2:-$1} nodes pages nr free before available

	HOST_HUGE_MB=0
	host_find_page_size || {
		host_say "no hugepages: this kernel, or this container, does not let us reserve any"
		return 1
	}
	nodes=$(find /sys/devices/system/node -maxdepth 1 -name 'node[0-9]*' 2>/dev/null | wc -l)
	[ "$nodes" -gt 0 ] || nodes=1
	nr=$HOST_HUGE_DIR/nr_hugepages
	pages=$(((want * 1024 + HOST_HUGE_KB - 1) / HOST_HUGE_KB))
	pages=$((pages * nodes))

	# Never all there is: the rest of the machine needs some. Then free hugepages have to do.
	available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
	[ $((pages * HOST_HUGE_KB / 1024)) -le $((available * 3 / 4)) ] || pages=0

	host_lock || return 1
	if ! host_mount; then
		host_unlock
		host_say "no hugepages: cannot mount hugetlbfs on $HOST_MOUNT"
		return 1
	fi
	# Added and noted, or neither.
	host_hold
	host_huge_count
	before=$HOST_HUGE_COUNT
	{ echo $((before + pages)) >"$nr"; } 2>/dev/null
	host_huge_count
	HOST_HUGE_ADDED=$((HOST_HUGE_COUNT > before ? HOST_HUGE_COUNT - before : 0))
	host_release
	free=$(cat "$HOST_HUGE_DIR/free_hugepages")
	host_unlock

	if [ $pages -gt 0 ] && [ $HOST_HUGE_ADDED -ge $pages ]; then
		HOST_HUGE_MB=$want
		host_say "reserved $((HOST_HUGE_ADDED * HOST_HUGE_KB / 1024)) MB of hugepages" \
			"($HOST_HUGE_ADDED pages of $HOST_HUGE_KB kB), given back at the end"
		return 0
	fi
	# Memory is short, or most of it is in hugepages already.
	HOST_HUGE_MB=$((free * HOST_HUGE_KB / 1024 / nodes))
	[ $HOST_HUGE_MB -le "$want" ] || HOST_HUGE_MB=$want
	if [ "$HOST_HUGE_MB" -ge "$least" ]; then
		host_say "reserved $((HOST_HUGE_ADDED * HOST_HUGE_KB / 1024)) MB of hugepages" \
			"(wanted $want MB), with those that were free: $HOST_HUGE_MB MB"
		return 0
	fi
	host_say "no hugepages: $want MB wanted, $HOST_HUGE_MB MB to be had"
	host_hugepages_return
	return 1
}

host_hugepages_return() {
	local nr=$HOST_HUGE_DIR/nr_hugepages added=$HOST_HUGE_ADDED done=1

	HOST_HUGE_MB=0
	[ -n "$HOST_HUGE_DIR" ] && [ -r "$nr" ] || return 0
	host_lock || return 0
	host_unmount
	if [ "$added" -gt 0 ]; then
		host_hold
		host_huge_count
		{ echo $((HOST_HUGE_COUNT > added ? HOST_HUGE_COUNT - added : 0)) >"$nr"; } \
			2>/dev/null || done=0
		HOST_HUGE_ADDED=0
		host_release
		if [ $done = 1 ]; then
			host_say "gave back $((added * HOST_HUGE_KB / 1024)) MB of hugepages"
		else
			host_say "left: $added hugepages of $HOST_HUGE_KB kB;" \
				"as root, write $added less to $nr"
		fi
	fi
	host_unlock
}

# Ends what was started here, or in a lane of this, and has not ended: known by our file prefix in
# its environment.
host_kill_leftovers() {
	local signal environ pid last=

	[ -n "$HOST_PREFIX" ] || return 0
	for signal in TERM KILL KILL; do
		pid=
		while read -r environ; do
			pid=${environ//[!0-9]/}
			kill -$signal "$pid" 2>/dev/null && last=$pid
		done < <(host_ours /proc/[0-9]*/environ)
		[ -n "$pid" ] || return 0
		sleep 0.5
	done
	[ -z "$last" ] || [ -z "$(host_ours "/proc/$last/environ")" ] ||
		host_say "left: process $last ($(cat "/proc/$last/comm" 2>/dev/null))," \
			"which signal 9 does not end"
}

# host_ours FILE...: those of processes that were started here.
host_ours() {
	grep -lzxE "MAGAZINE_FILE_PREFIX=$HOST_PREFIX(-[^-]+-)?" "$@" 2>/dev/null |
		grep -vx "/proc/$$/environ"
}

# Removes the files that EAL made under our prefix and that its end has left behind.
host_remove_files() {
	[ -n "$HOST_PREFIX" ] || return 0
	[ -z "$HOST_HUGE_FD" ] || rm -f "$HOST_MOUNT/$HOST_PREFIX"*map_*
	rm -rf "$HOST_RUNTIME/${HOST_PREFIX:?}"*
}

host_cleanup() {
	local rc=$?

	trap '' HUP INT TERM PIPE
	trap - EXIT
	HOST_SIGNAL=
	# Each of them ends its own child first.
	[ ${#HOST_LANES[@]} = 0 ] || host_end 200 "${HOST_LANES[@]}"
	[ -z "$HOST_CHILD" ] || host_end 100 "$HOST_CHILD"
	host_kill_leftovers
	host_remove_files
	[ $HOST_MADE_RUNTIME = 0 ] || rmdir $HOST_RUNTIME 2>/dev/null
	host_hugepages_return
	rm -rf ${HOST_SCRATCH:+"$HOST_SCRATCH"} ${HOST_STAGE:+"$HOST_STAGE"}
	[ -z "$HOST_LAST_LINE" ] || printf '%s\n' "$HOST_LAST_LINE" 2>/dev/null
	exit $rc
}
