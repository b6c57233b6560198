# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2016,SC2034 # scripts for another shell; variables for the caller
#
# Other distributions in a folder. Sourced, not run; needs nothing but bash, root and util-linux.
#
#   chroot_make SUITE DIR   a minimal Debian SUITE (bookworm, trixie, sid) in DIR, a new folder
#   chroot_run DIR CMD...   runs CMD in it; its exit status is that of CMD
#   chroot_remove DIR       ends what still runs there, and removes DIR
#
# A function that fails has said in CHROOT_WHY what was missing, as a reason for a skip.
#
# chroot_make copies a tree that was made by debootstrap: that of the folder MAGAZINE_CHROOTS, if it
# has one of the name SUITE, or else the one in build-compat/trees, downloaded once and kept.
# Packages come from MAGAZINE_MIRROR (http://deb.debian.org/debian).
#
# A command has mounts and processes of its own: all of them are gone when it ends, whichever way.
# It sees the machine's network, /sys and hugepages, and nothing of its /dev, /run and /tmp. Of the
# environment it gets MAGAZINE_FILE_PREFIX alone; what else it needs comes by 'env NAME=VALUE CMD'.
# If its caller dies, it gets a SIGTERM and half a minute to give back what it has taken.

CHROOT_TOP=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)/build-compat
CHROOT_MIRROR=${MAGAZINE_MIRROR:-http://deb.debian.org/debian}
CHROOT_WHY=
# The first process of a namespace gets only signals that it asks for; when it ends, all end.
CHROOT_FIRST='
	trap "kill -TERM \$child 2>/dev/null; tries=60" TERM
	tries=0
	"$@" <&0 &
	child=$!
	wait $child
	rc=$?
	while [ $tries -gt 0 ] && kill -0 $child 2>/dev/null; do
		sleep 0.5
		tries=$((tries - 1))
	done
	exit $rc'
CHROOT_MOUNTS='
	set -e
	dir=$1
	shift
	mount -t proc proc "$dir/proc"
	mount --rbind /sys "$dir/sys"
	mount --make-rslave "$dir/sys"
	mount -t tmpfs -o mode=755,nosuid tmpfs "$dir/run"
	mount -t tmpfs -o mode=1777 tmpfs "$dir/tmp"
	mount -t tmpfs -o mode=755,nosuid tmpfs "$dir/dev"
	mkdir "$dir/dev/pts" "$dir/dev/shm" "$dir/dev/net" "$dir/run/lock"
	mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$dir/dev/pts"
	mount -t tmpfs -o mode=1777 tmpfs "$dir/dev/shm"
	for node in null zero full random urandom tty kvm vhost-net net/tun; do
		[ ! -e "/dev/$node" ] || cp -a "/dev/$node" "$dir/dev/$node"
	done
	ln -s pts/ptmx "$dir/dev/ptmx"
	ln -s /proc/self/fd "$dir/dev/fd"
	for fd in stdin:0 stdout:1 stderr:2; do
		ln -s "/proc/self/fd/${fd#*:}" "$dir/dev/${fd%:*}"
	done
	exec chroot "$dir" /usr/bin/env -i \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root TERM=dumb LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		${MAGAZINE_FILE_PREFIX:+MAGAZINE_FILE_PREFIX="$MAGAZINE_FILE_PREFIX"} "$@"'

# chroot_apart COMMAND...: with mounts and processes of its own. What the machine unmounts goes
# there, too; what is mounted there is not seen outside.
chroot_apart() {
	MAGAZINE_FILE_PREFIX=${HOST_PREFIX:-${MAGAZINE_FILE_PREFIX:-}} \
		setpriv --pdeathsig KILL \
		unshare --mount --propagation slave --pid --fork --kill-child=TERM \
		bash -c "$CHROOT_FIRST" chroot_first "$@"
}

chroot_fail() {
	CHROOT_WHY=$*
	return 1
}

# chroot_can: whether this machine lets us.
chroot_can() {
	[ "$(id -u)" = 0 ] || chroot_fail "chroots need root" || return
	chroot_apart mount -t tmpfs tmpfs /mnt 2>/dev/null ||
		chroot_fail "this machine, or container, allows no mounts of one's own"
}

# chroot_tree SUITE: sets CHROOT_TREE to a tree to be copied, and not to be changed.
chroot_tree() {
	local suite=$1 lock log rc

	CHROOT_TREE=${MAGAZINE_CHROOTS:-/nowhere}/$suite
	[ ! -d "$CHROOT_TREE/etc" ] || return 0
	CHROOT_TREE=$CHROOT_TOP/trees/$suite
	mkdir -p "$CHROOT_TOP/trees" || chroot_fail "cannot write to $CHROOT_TOP" || return
	exec {lock}>"$CHROOT_TREE.lock"
	flock "$lock"
	rc=0
	[ -d "$CHROOT_TREE" ] || chroot_bootstrap "$suite" || rc=1
	exec {lock}>&-
	return $rc
}

# A tree that debootstrap did not finish never has the name of one.
chroot_bootstrap() {
	local new=$CHROOT_TREE.new log=$CHROOT_TREE.log

	command -v debootstrap >/dev/null ||
		chroot_fail "no debootstrap here (Debian: apt-get install debootstrap)" || return
	rm -rf --one-file-system "$new"
	chroot_apart debootstrap --variant=minbase "$1" "$new" "$CHROOT_MIRROR" \
		>"$log" 2>&1 </dev/null || {
		rm -rf --one-file-system "$new"
		chroot_fail "debootstrap of $1 from $CHROOT_MIRROR: $(tail -n 1 "$log")"
		return
	}
	rm -rf "$new"/var/cache/apt/archives/*.deb "$log"
	mv "$new" "$CHROOT_TREE"
}

chroot_make() {
	local suite=$1 dir=$2

	chroot_can && chroot_tree "$suite" || return
	[ ! -e "$dir" ] || chroot_fail "$dir is there already" || return
	mkdir -p "${dir%/*}" && cp -a --reflink=auto "$CHROOT_TREE" "$dir" ||
		chroot_fail "cannot copy $CHROOT_TREE to $dir" || return
	cp --remove-destination /etc/resolv.conf /etc/hosts "$dir/etc/" 2>/dev/null
	echo "deb $CHROOT_MIRROR $suite main" >"$dir/etc/apt/sources.list"
	# A mirror may be a snapshot, the lists of which are out of date by their own account.
	cat >"$dir/etc/apt/apt.conf.d/99magazine" <<-END
		Acquire::Check-Valid-Until "false";
		Acquire::Languages "none";
		Acquire::Retries "2";
		Acquire::http::Timeout "20";
		APT::Install-Recommends "false";
		APT::Install-Suggests "false";
		APT::Get::Assume-Yes "true";
		Dpkg::Use-Pty "false";
	END
	echo force-unsafe-io >"$dir/etc/dpkg/dpkg.cfg.d/magazine"
	printf '#!/bin/sh\nexit 101\n' >"$dir/usr/sbin/policy-rc.d"
	chmod 755 "$dir/usr/sbin/policy-rc.d"
	chroot_run "$dir" apt-get -q update >"$dir.apt.log" 2>&1 </dev/null ||
		chroot_fail "apt-get update: $(grep '^[EW]:' "$dir.apt.log" | tail -n 1)" || return
	rm "$dir.apt.log"
}

chroot_run() {
	local dir=$1

	shift
	chroot_apart bash -c "$CHROOT_MOUNTS" chroot_mounts "$dir" "$@"
}

# chroot_users DIR: who has DIR as his root.
chroot_users() {
	local proc

	for proc in /proc/[0-9]*; do
		[ "$(readlink "$proc/root" 2>/dev/null)" != "$1" ] || echo "${proc#/proc/}"
	done
}

chroot_remove() {
	local dir tries pids

	[ -d "$1" ] || return 0
	dir=$(CDPATH='' cd -- "$1" && pwd -P) || return
	for ((tries = 0; tries < 80; tries++)); do
		mapfile -t pids < <(chroot_users "$dir")
		[ ${#pids[@]} -gt 0 ] || break
		[ $tries -lt 70 ] || kill -KILL "${pids[@]}" 2>/dev/null
		sleep 0.5
	done
	! grep -q " $dir/" /proc/self/mounts ||
		chroot_fail "left: $dir, where something is mounted" || return
	rm -rf --one-file-system "$dir" "$dir.apt.log"
}
