#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""app/host.sh gives back what it mounted, or says what is left and how to remove it; it ends what
was started, and each of its lanes what that lane has started.

In a mount namespace of its own, without the machine's hugetlbfs; no hugepages are needed.
"""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEST / "dataplane"))

import tap  # noqa: E402

HOST = TEST.parent / "app/host.sh"
SECONDS = 120

# As in a namespace of its own. begin: a script that has mounted it; mounted: whether it is.
SCRIPT = """
for dir in $(awk '$3 == "hugetlbfs" {{ print $2 }}' /proc/mounts); do umount -l "$dir"; done
. {host}
HOST_MOUNT={folder}/huge
begin() {{ host_begin; host_find_page_size; host_mount || {{ echo cannot mount; exit 99; }}; }}
mounted() {{ grep -q " $HOST_MOUNT hugetlbfs " /proc/mounts && echo mounted || echo not mounted; }}
{body}
"""

# start: a process and a file of EAL with the file prefix of its lane; the process has its own
# environment when that returns; until_told: waits; state:
# those of these processes that run, and how many files there are.
LANES = """
folder=${HOST_MOUNT%/*}
HOST_RUNTIME=$folder/run
start() {
    mkdir -p $HOST_RUNTIME/$HOST_PREFIX$1
    MAGAZINE_FILE_PREFIX=$HOST_PREFIX sleep 60 >/dev/null 2>&1 &
    until [ "$(cat /proc/$!/comm)" = sleep ]; do sleep 0.01; done
    echo $! >$folder/$1
}
until_told() { while :; do sleep 0.1; done; }
state() {
    for name in main shell one two three; do
        grep -qs . /proc/$(cat $folder/$name)/environ && printf "$name "
    done
    ls $HOST_RUNTIME 2>/dev/null | wc -l
}
lanes() {
    begin
    mkdir -p $HOST_RUNTIME
    start main
    (host_lane 1; echo $BASHPID >$folder/shell; start one; until_told) &
    HOST_LANES+=($!)
    (host_lane 2; start two; exit 0) &
    wait $!
    (host_lane 3; start three; kill -KILL $BASHPID) &
    wait $! 2>/dev/null
    sleep 0.2
    state
}
"""


def run(body):
    """What it prints."""
    with tempfile.TemporaryDirectory() as folder:
        script = SCRIPT.format(host=shlex.quote(str(HOST)), folder=folder, body=body)
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "bash", "-c", script, "host"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
            # A shell cannot trap what was ignored when it began, as SIGINT is in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        if done.stdout.startswith(("cannot mount", "unshare: ")):
            raise tap.Skip(f"needs to mount hugetlbfs: {done.stdout.strip()}")
        left = os.path.exists(f"{folder}/huge")
    return done.stdout, left


def main():
    with tap.case("what was mounted is unmounted, and the folder that was made for it is removed"):
        said, left = run("(begin; mounted; exit 3); echo status $?; mounted")
        tap.check(
            said == "mounted\nstatus 3\nnot mounted\n" and not left, f"{said}\nfolder left: {left}"
        )
    with tap.case("a process that lets go of it a little later is waited for"):
        said, left = run(
            "(begin; (cd $HOST_MOUNT; exec setsid sleep 1.5 >/dev/null 2>&1) & sleep 0.2; exit 0); "
            "mounted"
        )
        tap.check(said == "not mounted\n" and not left, f"{said}\nfolder left: {left}")
    for what, hold in (
        ("works in", "cd $HOST_MOUNT; exec sleep 60"),
        ("has a file open of", "exec sleep 60 <$HOST_MOUNT"),
    ):
        with tap.case(f"of a process that {what} it and stays is said who it is, and what to do"):
            said, _ = run(
                "HOST_UNMOUNT_TRIES=2; (begin; (" + hold + ") >/dev/null 2>&1 & echo pid $!\n"
                "echo $! >$HOST_MOUNT/../pid; sleep 0.2; exit 0); mounted\n"
                "kill $(cat $HOST_MOUNT/../pid); sleep 0.2; umount $HOST_MOUNT && rmdir "
                "$HOST_MOUNT && mounted"
            )
            pid = re.search(r"pid (\d+)", said)[1]
            line = next((line for line in said.splitlines() if "left: " in line), "")
            tap.check(f"process {pid} (sleep)" in line, f"no process {pid} in: {said}")
            tap.check(re.search(r"as root: umount (\S+/huge) && rmdir \1$", line), said)
            tap.check(said.endswith("\nmounted\nnot mounted\n"), f"its remedy is none:\n{said}")
    with tap.case("EAL, which locks the folder while it starts, finds it unlocked"):
        said, left = run("(begin; flock -x -n $HOST_MOUNT true && echo unlocked; exit 0); mounted")
        tap.check(said == "unlocked\nnot mounted\n" and not left, f"{said}\nfolder left: {left}")
    with tap.case("the last of several unmounts it, and the others say nothing"):
        said, left = run(
            "(begin; while [ ! -e $HOST_MOUNT/../go ]; do sleep 0.1; done; exit 0) & sleep 0.5\n"
            "(begin; exit 0); mounted; touch $HOST_MOUNT/../go; wait; mounted"
        )
        tap.check(said == "mounted\nnot mounted\n" and not left, f"{said}\nfolder left: {left}")
    for what, how, status in (
        ("that ends", "(lanes; exit 3); echo status $?", 3),
        ("told to end", "(lanes; kill -TERM $BASHPID; until_told); echo status $?", 143),
        ("interrupted", "(lanes; kill -INT $BASHPID; until_told); echo status $?", 130),
    ):
        with tap.case(f"a lane ends what is its own; a script {what}, all, that of lost lanes too"):
            said, left = run(LANES + how + "; state")
            tap.check(
                said == f"main shell one three 3\nstatus {status}\n0\n" and not left,
                f"{said}\nfolder left: {left}",
            )
    tap.finish()


if __name__ == "__main__":
    main()
