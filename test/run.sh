#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# All tests. Test programs are found from the build, scripts by being executable in the folder of a
# suite: a new one needs no change here. Each speaks TAP (cmocka does, asked to); one that does not
# counts as one test, by its exit status: 0 passed, 77 skipped, anything else failed.
#
# A test finds in its environment: MAGAZINE_BUILD and MAGAZINE_PLUGIN, the build folder and the
# driver; MAGAZINE_FILE_PREFIX, what its EAL file prefixes have to begin with; MAGAZINE_HUGE, 1 if
# there are hugepages; MAGAZINE_FULL, 1 if it may take long; MAGAZINE_SANITIZER, what it is built
# with, if it is.

# shellcheck source-path=SCRIPTDIR source=../app/host.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../app/host.sh"

SUITES=(style unit arm contract model dataplane numa bench mutation stress tsan asan fuzz)
FULL_SUITES=(apps compat) # only with --full, or by name
# These take hugepages, and one of EAL's modes takes all: never two of them at once.
HUGE_SUITES=(contract dataplane bench apps)
# Programs for --full alone. Under the sanitizers the crowded form of stress goes through what the
# others do, and stops threads in it. How objects are exchanged does not depend on addresses and
# files of pages.
FULL_PROGRAMS='^([at]san/stress/pool(-filtered)?'
FULL_PROGRAMS+='|contract/(exchange|lcores)-(match-.*|single-.*|.*iova-.*))$'
# Seconds that each takes alone on two idle CPUs, with what it builds; and the same with --full.
declare -A SUITE_SECONDS=(
	[style]="60 140" [unit]="220 600" [arm]="120 150" [contract]="300 1400" [model]="120 350"
	[dataplane]="270 660" [numa]="60 90" [bench]="45 170" [mutation]="110 2000"
	[stress]="90 930" [tsan]="230 1800" [asan]="170 1500" [fuzz]="60 330" [apps]="1800 1800"
	[compat]="4500 5340"
)
LANES_SPEED=160      # percent of what one lane does in the same time, of any more than one
LANES_LEAST_MB=6144  # memory for more than one
LANES_MOST=8
HUGE_MB=1536
HUGE_LEAST_MB=256
SCRIPT_TIMEOUT=600
APPS_TIMEOUT=1800
COMPAT_TIMEOUT=3600 # downloads, builds of DPDK, and these tests again
FUZZ_SECONDS=30
FUZZ_SECONDS_FULL=300

usage() {
	cat <<-END
	usage: test/run.sh [--full] [--only SUITE...] [--lanes N] [--help]

	Installs what is missing (Debian 12 and 13), builds into build/ and build-*/, reserves up to
	$HUGE_MB MB of hugepages for as long as it runs, and runs all tests. The last line is 'N
	passed, N failed', and ', N skipped' if something was. The exit status is 0 if nothing
	failed, 1 if something did, 2 if the tests could not be run. It says first how long it takes
	on a machine of two CPUs, and with each suite how long it still takes here.

	  --full           longer: MAGAZINE_FULL=1 for the tests, and all time limits times four;
	                   limits grow with the load of the machine, too
	  --only SUITE...  only these of: ${SUITES[*]} ${FULL_SUITES[*]}
	  --lanes N        so many suites at once, but of those that use hugepages one;
	                   default: 2 on two CPUs or more with $LANES_LEAST_MB MB of available
	                   memory, else 1; 1 with --full, which measures more

	style compiles each file by itself and looks for headers that are used and not included;
	with --full also against the headers of Debian's other versions of DPDK, downloaded once
	into build-headers/, and any time against those in the folders that MAGAZINE_HEADERS names.

	arm is the unit suite again, built for AArch64 in build-arm/ and run under qemu; the
	libraries it needs are Debian's of that architecture, downloaded once; where they or the
	tools cannot be had it is skipped.

	numa runs on machines of several NUMA nodes that qemu emulates, with a kernel of Debian's,
	downloaded once into build/; where they cannot be had it is skipped.

	apps is part of --full alone: Open vSwitch, DPDK's own tests and the guide's recipes on the
	driver, in namespaces of their own. Packages that start no service are installed; Open
	vSwitch is downloaded once and unpacked in build/apps/.

	compat is part of --full alone: Debian 12, 13 and sid in chroots, downloaded once into
	build-compat/; where debootstrap or its mirror cannot be had it is skipped.

	tsan and asan are the unit and stress suites again, built with ThreadSanitizer, and with
	Address- and UndefinedBehaviorSanitizer, of stress only the crowded programs and the soak
	without --full; a report is a failure. fuzz calls the library at
	random and compares it with a model, for $FUZZ_SECONDS s, with --full for $FUZZ_SECONDS_FULL
	s: libFuzzer, and clang's sanitizers. It is skipped where clang cannot be had. Logs, and the
	input that failed, stay in build*/testlog.
	END
}

full=0
lanes=
only=()

parse_options() {
	while [ $# -gt 0 ]; do
		case $1 in
		--full) full=1 ;;
		--lanes)
			[[ ${2-} =~ ^[1-$LANES_MOST]$ ]] ||
				host_die "--lanes ${2-}: must be a number of 1 to $LANES_MOST"
			lanes=$2
			shift
			;;
		--only)
			[ $# -gt 1 ] || host_die "--only needs a suite: one or more of ${SUITES[*]}"
			shift
			while [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; do
				[[ " ${SUITES[*]} ${FULL_SUITES[*]} " = *" $1 "* ]] ||
					host_die "--only $1: no such suite, must be one of" \
						"${SUITES[*]} ${FULL_SUITES[*]}"
				only+=("$1")
				shift
			done
			continue
			;;
		-h | --help)
			usage
			exit 0
			;;
		*) host_die "option $1: not known, see --help" ;;
		esac
		shift
	done
	[ ${#only[@]} -gt 0 ] || {
		only=("${SUITES[@]}")
		[ $full = 0 ] || only+=("${FULL_SUITES[@]}")
	}
	[ -n "$lanes" ] || lanes=$(default_lanes)
	[ "$lanes" -le ${#only[@]} ] || lanes=${#only[@]}
}

# The full run has what measures time.
default_lanes() {
	local available

	available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
	if [ $full = 0 ] && [ "$(nproc)" -ge 2 ] && [ "${available:-0}" -ge $LANES_LEAST_MB ]; then
		echo 2
	else
		echo 1
	fi
}

wanted() {
	local suite

	for suite; do
		[[ " ${only[*]} " != *" $suite "* ]] || return 0
	done
	return 1
}

# count PASSED FAILED SKIPPED SECONDS NAME: the line for one program.
count() {
	local what="$1 passed"

	[ "$2" = 0 ] || what+=", $2 FAILED"
	[ "$3" = 0 ] || what+=", $3 skipped"
	printf '  %-46s %6s s  %s\n' "$5" "$4" "$what"
	echo "$1 $2 $3" >>"$HOST_SCRATCH/counts"
}

fail() {
	count 0 1 0 0 "$1"
	shift
	printf '    %s\n' "$@"
	publish
}

# What a lane says is in a file; this prints it, whole, between what others say.
said=
publish() {
	[ -n "$said" ] && [ -s "$said" ] || return 0
	{
		flock 9
		cat "$said" >&4 || exit
	} 9>"$HOST_SCRATCH/printing"
	: >"$said"
}

# read_tap LOG: "passed failed skipped planned" and then a line for each test that failed or was
# skipped. cmocka has no place for the reason of a skip: a line "# skip: reason" before it gives it.
read_tap() {
	awk '
	/^# skip: / { reason = substr($0, 9) }
	/^1\.\.[0-9]+/ {
		planned += substr($1, 4)
		if ($1 == "1..0") {
			skipped++
			note("skipped", $0)
		}
	}
	/^(not )?ok( |$)/ {
		name = $0
		sub(/^(not )?ok *[0-9]* *-? */, "", name)
		if (toupper($0) ~ /# *SKIP/)
			skip(name)
		else if ($1 == "ok")
			passed++
		else {
			failed++
			note("FAILED", name)
		}
		reason = ""
	}
	function skip(name) {
		skipped++
		if (match(toupper(name), /^# *SKIP */))
			note("skipped", substr(name, RLENGTH + 1) ": " \
				(reason == "" ? "gave no reason" : reason))
		else {
			match(toupper(name), / *# *SKIP *:? */)
			why = substr(name, RSTART + RLENGTH)
			note("skipped", substr(name, 1, RSTART - 1) ": " \
				(why != "" ? why : reason == "" ? "gave no reason" : reason))
		}
	}
	function note(what, text) { notes = notes "\n    " what " " text }
	END { print passed + 0, failed + 0, skipped + 0, planned + 0 notes }
	' "$1"
}

how_it_ended() {
	case $1 in
	124 | 137) echo "was stopped after $2 s, or more on a busy machine" ;;
	66) echo "reports from ThreadSanitizer" ;;
	*)
		if [ "$1" -gt 128 ]; then
			echo "died of signal $(kill -l $(($1 - 128)))"
		else
			echo "exit status $1"
		fi
		;;
	esac
}

# run_one NAME BUILD SECONDS COMMAND...
run_one() {
	local name=$1 build=$2 limit=$3 log rc start tap ok bad skip planned notes seconds why=
	shift 3

	log=$build/testlog/${name//\//-}.log
	start=$EPOCHREALTIME
	host_run python3 -B "$HOST_ROOT/app/patience.py" "$limit" env \
		CMOCKA_MESSAGE_OUTPUT=TAP \
		PYTHONDONTWRITEBYTECODE=1 \
		MAGAZINE_BUILD="$build" \
		MAGAZINE_PLUGIN="$HOST_PLUGIN" \
		MAGAZINE_FILE_PREFIX="$HOST_PREFIX" \
		MAGAZINE_HUGE=$huge \
		MAGAZINE_FULL=$full \
		"$@" >"$log" 2>&1 </dev/null 4>&-
	rc=$?
	host_kill_leftovers
	host_remove_files

	tap=$(read_tap "$log")
	read -r ok bad skip planned <<<"${tap%%$'\n'*}"
	notes=${tap#"${tap%%$'\n'*}"}
	if [ $((ok + bad + skip)) = 0 ]; then
		case $rc in
		0) ok=1 ;;
		77)
			skip=1
			notes=$'\n'"    skipped: $(tail -n 1 "$log")"
			;;
		*) why=$(how_it_ended $rc "$limit") ;;
		esac
	elif [ $rc != 0 ] && [ "$bad" = 0 ]; then
		why=$(how_it_ended $rc "$limit")
	elif [ $((ok + bad + skip)) -lt "$planned" ]; then
		why="ended after $((ok + bad + skip)) of $planned tests"
		why+=" ($(how_it_ended $rc "$limit"))"
	fi
	if [ -z "$why" ] &&
		grep -qE '(WARNING|ERROR): [A-Z][a-z]*Sanitizer|: runtime error: ' "$log"; then
		why="reports from a sanitizer"
	fi
	if [ -n "$why" ]; then
		bad=$((bad + 1))
		notes+=$'\n'"    FAILED $why"
	fi
	seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
	count "$ok" "$bad" "$skip" "$seconds" "$name"
	[ -z "$notes" ] || printf '%s\n' "${notes#$'\n'}"
	[ "$bad" = 0 ] || show_log "$log"
	publish
}

# The log from a little before the first failure on; without one, its end, where it broke off.
show_log() {
	local first lines

	echo "    log: $1"
	lines=$(wc -l <"$1")
	first=$(grep -nEm 1 '^not ok( [0-9]+)? -' "$1" | cut -d : -f 1)
	first=$((${first:-$((lines - 40))} - 10))
	[ $first -gt 1 ] || first=1
	[ $first = 1 ] || echo "    | ... ($((first - 1)) lines before)"
	sed -n "$first,$((first + 49))p" "$1" | cut -c 1-200 | sed 's/^/    | /'
	[ $((first + 49)) -ge "$lines" ] || echo "    | ... ($((lines - first - 49)) lines after)"
}

# list_tests BUILD SUITE: name, time limit and shell-quoted command of each program. What run_one
# sets stays as it set it.
list_tests() {
	meson introspect --tests "$1" | python3 -c '
import json, shlex, sys
for test in json.load(sys.stdin):
    if sys.argv[1] in [suite.split(":")[-1] for suite in test["suite"]]:
        # Programs find their libraries by themselves; the order of meson is not theirs.
        ours = ("MAGAZINE_BUILD", "MAGAZINE_PLUGIN", "LD_LIBRARY_PATH")
        env = [f"{key}={value}" for key, value in test["env"].items() if key not in ours]
        limit = test["timeout"] if test["timeout"] and test["timeout"] > 0 else 600
        print(test["name"], limit, shlex.join(["env", *env, *test["cmd"]]), sep="\t")
' "$2"
}

# run_suite SUITE BUILD LABEL TIMES [COMMAND...]: time limits times TIMES, each program run by
# COMMAND.
run_suite() {
	local suite=$1 build=$2 label=$3 times=$4 name limit line command found=0
	shift 4

	while IFS=$'\t' read -r -u 3 name limit line; do
		[ $full = 1 ] || [[ ! $label/$name =~ $FULL_PROGRAMS ]] || continue
		eval "command=($line)"
		run_one "$label/$name" "$build" $((limit * times)) "$@" "${command[@]}"
		found=1
	done 3< <(list_tests "$build" "$suite")
	[ $found = 1 ] || fail "$label" "suite $suite has no tests"
}

# run_scripts SUITE: those in the folder of that name.
run_scripts() {
	local script found=0

	for script in "$HOST_ROOT/test/$1"/*.{sh,py}; do
		[ -x "$script" ] || continue
		run_one "$1/$(basename "$script")" "$HOST_ROOT/build" \
			$((SCRIPT_TIMEOUT * times)) "$script"
		found=1
	done
	[ $found = 1 ] || fail "$1" "no executable script in test/$1"
}

# Formatting is that of .clang-format as this version reads it; others differ in details.
run_style() {
	local version log=$HOST_ROOT/build/testlog/style.log files=()

	version=$(clang-format --version | sed 's/.*version \([0-9]*\).*/\1/')
	if [ "$version" != 14 ]; then
		count 0 0 1 0 style/format
		echo "    skipped: clang-format is version $version, 14 is needed (Debian 12)"
		return
	fi
	mapfile -t files < <(find "$HOST_ROOT"/{lib,drivers,app,test} -name '*.[ch]' 2>/dev/null)
	if (cd "$HOST_ROOT" && clang-format --dry-run --Werror "${files[@]}") >"$log" 2>&1; then
		count 1 0 0 0 style/format
	else
		fail style/format "clang-format -i as follows puts it right:" \
			$'clang-format -i $(find lib drivers app test -name \'*.[ch]\')'
		sed -n 's/^\([^ :]*\):[0-9]*:.*/\1/p' "$log" | uniq -c | sed 's/^/    places: /'
	fi
}

# build FOLDER [meson option...]
build() {
	host_build "$1" "" -Dtests=true "${@:2}" && mkdir -p "$1/testlog" && host_plugin "$1"
}

run_sanitized() {
	local label=$1 kind=$2 build=$HOST_ROOT/build-$1 suite runner=()

	build "$build" -Db_sanitize="$kind" -Db_lundef=false -Doptimization=2 || {
		fail "$label" "does not build with b_sanitize=$kind"
		return
	}
	# ThreadSanitizer's shadow memory cannot be where a wide random address layout puts
	# libraries.
	[ "$kind" != thread ] || ! setarch -R true 2>/dev/null || runner=(setarch -R)
	# With free objects poisoned there is no fast path: unit/poison does it.
	export MAGAZINE_SANITIZER=$kind MAGAZINE_POISON=0
	for suite in unit stress; do
		run_suite $suite "$build" "$label/$suite" $((times * 4)) "${runner[@]}"
	done
	unset MAGAZINE_SANITIZER MAGAZINE_POISON
}

# The same inputs to begin with each time; some are short, so that what they find can be read.
fuzz_corpus() {
	mkdir -p "$1" && python3 -c '
import pathlib, random, sys
numbers = random.Random(1)
for n in range(64):
    pathlib.Path(sys.argv[1], f"seed-{n}").write_bytes(numbers.randbytes(16 << n % 6))
' "$1"
}

# A finding is repeated with the file that the log names: build-fuzz/test/fuzz/cache_fuzz FILE.
run_fuzz() {
	local build=$HOST_ROOT/build-fuzz corpus=$HOST_SCRATCH/corpus
	local seconds=$FUZZ_SECONDS seed=$((RANDOM * 32768 + RANDOM))
	local probe=$HOST_SCRATCH/probe # never /dev/null: a linker that fails removes it

	[ $full = 0 ] || seconds=$FUZZ_SECONDS_FULL
	if ! echo 'int LLVMFuzzerTestOneInput(const char *data, long size) { return 0; }' |
		clang -x c -fsanitize=fuzzer,address -o "$probe" - 2>/dev/null; then
		count 0 0 1 0 fuzz/cache
		echo "    skipped: no clang with libFuzzer here" \
			"(Debian: apt-get install clang libclang-rt-dev)"
		return
	fi
	if ! CC=clang host_build "$build" test/fuzz/cache_fuzz -Dtests=false -Dfuzz=true \
		-Db_sanitize=address,undefined -Db_lundef=false -Doptimization=2; then
		fail fuzz/cache "does not build with clang"
		return
	fi
	mkdir -p "$build/testlog"
	fuzz_corpus "$corpus"
	echo "  seed $seed"
	# With free objects poisoned there is no fast path. Neither an exit status that means
	# skipped, nor libFuzzer's statistics of each feature, which take most of the time here. An
	# input of a few hundred calls finds more than many short ones.
	MAGAZINE_POISON=0 run_one fuzz/cache "$build" $((seconds + 120)) \
		"$build/test/fuzz/cache_fuzz" -seed=$seed -max_total_time=$seconds -max_len=1024 \
		-len_control=0 -entropic=0 -timeout=20 -error_exitcode=1 \
		-print_final_stats=1 -artifact_prefix="$build/testlog/" "$corpus"
}

# Allocations that EAL and its libraries keep for the whole life of the process are not ours to
# report.
sanitizer_options() {
	local leaks=$HOST_SCRATCH/leaks

	printf 'leak:%s\n' librte_eal.so librte_bus_ librte_telemetry.so librte_kvargs.so \
		librte_ethdev.so librte_mempool.so librte_common_ libnuma.so ld-linux >"$leaks"
	export TSAN_OPTIONS="halt_on_error=0 exitcode=66 second_deadlock_stack=1"
	export ASAN_OPTIONS="detect_stack_use_after_return=1"
	export LSAN_OPTIONS="suppressions=\"$leaks\" print_suppressions=0"
	export UBSAN_OPTIONS="print_stacktrace=1 halt_on_error=1"
}

run_suite_of_name() {
	case $1 in
	unit | contract | stress) run_suite "$1" "$HOST_ROOT/build" "$1" $times ;;
	tsan) run_sanitized tsan thread ;;
	asan) run_sanitized asan address,undefined ;;
	fuzz) run_fuzz ;;
	style)
		run_scripts style
		run_style
		;;
	apps) SCRIPT_TIMEOUT=$APPS_TIMEOUT run_scripts apps ;;
	compat) SCRIPT_TIMEOUT=$COMPAT_TIMEOUT run_scripts compat ;;
	*) run_scripts "$1" ;;
	esac
}

# lane NUMBER SUITE HEADLINE
lane() {
	said=$HOST_SCRATCH/lane-$1
	exec 4>&1 >>"$said" 2>&1
	echo "$3"
	publish
	run_suite_of_name "$2"
	publish
}

# seconds_of SUITE...: from the table.
seconds_of() {
	local suite one whole sum=0

	for suite; do
		read -r one whole <<<"${SUITE_SECONDS[$suite]:-60 600}"
		sum=$((sum + (full ? whole : one)))
	done
	echo $sum
}

count_of() {
	if [ "$1" = 1 ]; then echo "1 $2"; else echo "$1 $2s"; fi
}

minutes() {
	if [ "$1" -lt 90 ]; then echo "$1 s"; else echo "$((($1 + 30) / 60)) min"; fi
}

# Suites that run and those that have ended, with the time of the start of the former.
declare -A lane_of=() suite_of=() start_of=()
ended=()

# Seconds that are left, at the speed seen so far; in the first minutes the one of the table.
seconds_left() {
	local pid suite now=$SECONDS gone all speed=100 done_of_it

	[ "$lanes" = 1 ] || speed=$LANES_SPEED
	all=$(seconds_of "${only[@]}")
	done_of_it=$(seconds_of "${ended[@]}")
	for pid in "${!suite_of[@]}"; do
		suite=$(seconds_of "${suite_of[$pid]}")
		gone=$(((now - start_of[$pid]) * speed / 100 / lanes))
		done_of_it=$((done_of_it + (gone < suite ? gone : suite)))
	done
	gone=$((now - began))
	speed=$(((done_of_it * 100 + 120 * speed) / (gone + 120)))
	echo $(((all - done_of_it) * 100 / speed))
}

# Whether a suite may begin now: no other that uses hugepages is running, if it does.
may_begin() {
	local pid

	[[ " ${HUGE_SUITES[*]} " = *" $1 "* ]] || return 0
	for pid in "${!suite_of[@]}"; do
		[[ " ${HUGE_SUITES[*]} " != *" ${suite_of[$pid]} "* ]] || return 1
	done
}

# begin_suite SUITE: in the first lane that is free.
begin_suite() {
	local lane=1 pid headline

	while [[ " ${lane_of[*]} " = *" $lane "* ]]; do
		lane=$((lane + 1))
	done
	headline="$1 ($((${#ended[@]} + ${#suite_of[@]} + 1)) of ${#only[@]}"
	headline+=", about $(minutes "$(seconds_left)") left)"
	host_hold
	(
		host_lane "$lane"
		lane "$lane" "$1" "$headline"
		exit 0
	) &
	pid=$!
	HOST_LANES+=("$pid")
	host_release
	lane_of[$pid]=$lane
	suite_of[$pid]=$1
	start_of[$pid]=$SECONDS
}

# end_suite PROCESS: if it has ended.
end_suite() {
	local rc

	! kill -0 "$1" 2>/dev/null || return 0
	wait "$1"
	rc=$?
	ended+=("${suite_of[$1]}")
	[ $rc = 0 ] || {
		flock 9
		fail "${suite_of[$1]}" "its lane has ended early: $(how_it_ended $rc 0)"
	} 9>"$HOST_SCRATCH/printing"
	unset "lane_of[$1]" "suite_of[$1]" "start_of[$1]"
	HOST_LANES=("${!suite_of[@]}")
}

run_suites() {
	local waiting=("${only[@]}") i pid began=$SECONDS

	while [ ${#waiting[@]} -gt 0 ] || [ ${#suite_of[@]} -gt 0 ]; do
		for i in "${!waiting[@]}"; do
			[ ${#suite_of[@]} -lt "$lanes" ] || break
			may_begin "${waiting[i]}" || continue
			begin_suite "${waiting[i]}"
			unset "waiting[i]"
		done
		host_run sleep 0.3
		for pid in "${!suite_of[@]}"; do
			end_suite "$pid"
		done
	done
}

# prepare: packages, the build, hugepages.
prepare() {
	host_packages gcc libc6-dev meson ninja-build pkgconf python3 libdpdk-dev dpdk-dev \
		libnuma-dev libcmocka-dev clang-format g++ libbenchmark-dev \
		libcapstone-dev valgrind spin
	! wanted style || host_packages_optional abigail-tools doxygen groff-base
	! wanted arm || host_packages_optional gcc-aarch64-linux-gnu qemu-user
	! wanted dataplane || host_packages_optional ethtool iperf3 iproute2 tmux gdb \
		babeltrace babeltrace2
	! wanted numa || host_packages_optional qemu-system-x86 busybox-static
	! wanted apps || host_packages_optional iproute2 iputils-ping iperf3 libunbound8 libxdp1
	! wanted compat || host_packages_optional debootstrap
	! wanted fuzz || host_packages_optional clang libclang-rt-dev
	build "$HOST_ROOT/build" || return
	if wanted "${HUGE_SUITES[@]}" unit mutation stress tsan asan; then
		host_hugepages $HUGE_MB $HUGE_LEAST_MB && huge=1
	fi
	sanitizer_options
}

main() {
	local times huge=0 began=$SECONDS passed failed skipped

	parse_options "$@"
	host_begin "$@"
	times=$((full ? 4 : 1))
	: >"$HOST_SCRATCH/counts"
	host_say "$(count_of ${#only[@]} suite) in $(count_of "$lanes" lane)," \
		"about $(minutes "$(seconds_left)") on two CPUs"
	if prepare; then run_suites; else fail build "does not build"; fi
	read -r passed failed skipped < <(awk '
		{ for (i = 1; i <= 3; i++) sum[i] += $i }
		END { print sum[1] + 0, sum[2] + 0, sum[3] + 0 }' "$HOST_SCRATCH/counts")
	HOST_LAST_LINE="$passed passed, $failed failed"
	[ "$skipped" = 0 ] || HOST_LAST_LINE+=", $skipped skipped"
	[ "$failed" = 0 ]
	exit
}

main "$@"
