#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""forward.py with a testpmd that answers as each version does, or as none: one sentence, and never
a traceback.

The testpmd is a program of a few lines, found first in PATH, so this needs neither hugepages nor
the driver.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import tap
import testpmd

FORWARD = testpmd.ROOT / "app/forward.py"
SECONDS = 120

FAKE = r"""#!/usr/bin/env python3
import json, os, re, socket, sys, threading

kind = os.environ["FAKE_KIND"]
prefix = next(word.split("=")[1] for word in sys.argv if word.startswith("--file-prefix="))
ops = next(word.split("=")[1] for word in sys.argv if word.startswith("--mbuf-pool-ops-name="))
folder = os.path.join("/var/run/dpdk", prefix)
os.makedirs(folder, exist_ok=True)
path = os.path.join(folder, "dpdk_telemetry.v2")
if os.path.exists(path):
    os.unlink(path)
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind(path)
server.listen(1)
mine = ops == "magazine"
packets = starts = 0


def answer(asked):
    global packets
    command = asked.split(",")[0]
    packets += 1000
    told = {
        "/ethdev/list": [0, 1], "/mempool/list": ["mb_pool_0"],
        "/ethdev/stats": {"ipackets": packets, "opackets": packets},
        "/magazine/list": ["mb_pool_0"], "/magazine/stats": {"rounds": 14, "free": 5},
        "/magazine/lcores": {"lcore": [1]},
    }.get(command)
    if kind == "garbage " + command:
        return b"<html>"
    if kind == "null " + command:
        told = None
    if kind == "list " + command:
        return b"[]"
    if kind == "number " + command:
        told = 7
    if kind == "words " + command:
        told = {key: "many" for key in ("ipackets", "opackets", "rounds", "free")}
    return json.dumps({command: told}).encode()


def telemetry():
    client = server.accept()[0]
    client.send(b"[]" if kind == "greeting" else b'{"max_output_len": 16384}')
    while True:
        asked = client.recv(1024).decode()
        if not asked:
            return
        client.send(answer(asked))


def dump(line):
    words = "dump mempool" if kind == "later" else "dump_mempool"
    if not line.startswith(words + " ") or kind == "no dump":
        return "Command not found\n"
    if kind == "silence":
        return ""
    count = "how_many" if kind == "fields" else "common_pool_count"
    size, common, cached = 32768, 32760, 8
    if "--vdev=net_ring0" in sys.argv:  # one lcore sends, all receive, one sends, all receive
        size, common, cached = 6000, 6000 * (starts % 2 == 0), 0
        if starts == 3:
            common = 7 if mine and kind == "refuses" else 0
            cached = 0 if mine else 5232
    return (
        f"mempool <mb_pool_0>@0x1\n  size={size}\n  cache_size=250\n    cache_count[2]={cached}\n"
        f"    total_cache_count={cached}\n  {count}={common}\n"
    )


threading.Thread(target=telemetry, daemon=True).start()
print(f"testpmd: preferred mempool ops selected: {ops}\ntestpmd> ", end="", flush=True)
for line in sys.stdin:
    if line.startswith("quit"):
        break
    starts += line.startswith("start")
    if line.startswith("start") and kind == "death":
        os._exit(3)
    print((dump(line) if line.startswith("dump") else "ok\n") + "testpmd> ", end="", flush=True)
"""

# What it is like, and what the sentence has to name: what was asked, and what came.
WRONG = {
    "no dump": ("dump mempool mb_pool_0", "Command not found"),
    "silence": ("dump_mempool mb_pool_0", "came nothing"),
    "fields": ("dump_mempool mb_pool_0", "common_pool_count", "how_many=32760"),
    "death": ("'start'", "ended with status 3"),
    "greeting": ("telemetry",),
    "garbage /ethdev/list": ("/ethdev/list", "<html>"),
    "null /ethdev/list": ("/ethdev/list", "None"),
    "number /mempool/list": ("/mempool/list", "'7'"),
    "list /mempool/list": ("/mempool/list", "'[]'"),
    "null /ethdev/stats": ("/ethdev/stats,0", "null"),
    "words /ethdev/stats": ("/ethdev/stats,0", "many"),
    "garbage /magazine/stats": ("/magazine/stats,mb_pool_0", "<html>"),
    "number /magazine/stats": ("/magazine/stats,mb_pool_0", "7"),
    "number /magazine/lcores": ("/magazine/lcores,mb_pool_0", "'7'"),
    "number /magazine/list": ("/magazine/list", "'7'"),
}


def run(folder, kind, arguments=("--seconds", "1", "--no-huge", "--throughput-only"), **settings):
    """Exit status, output, and errors of forward.py."""
    environment = dict(
        os.environ,
        PATH=f"{folder}:{os.environ['PATH']}",
        FAKE_KIND=kind,
        FORWARD_PLUGIN="none",
        MAGAZINE_FILE_PREFIX=f"{testpmd.PREFIX}-fake-{kind.replace(' ', '').replace('/', '')}",
        MAGAZINE_HUGE="0",
        **settings,
    )
    done = subprocess.run(
        [sys.executable, "-B", FORWARD, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    for index in range(3):
        testpmd.remove_files_of(f"{environment['MAGAZINE_FILE_PREFIX']}-{index}")
    return done.returncode, done.stdout, done.stderr


def require_sentence(status, errors, *parts):
    tap.check(status == 1, f"status {status}: {errors}")
    tap.check("Traceback" not in errors and errors.startswith("forward.sh: "), errors)
    for part in parts:
        tap.check(part in errors, f"no '{part}' in: {errors}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        fake = pathlib.Path(folder, "dpdk-testpmd")
        fake.write_text(FAKE)
        fake.chmod(0o755)
        idle = pathlib.Path(folder, "loadavg")
        idle.write_text("0.00 0.00 0.00 1/100 1\n")
        for kind, what in (
            ("earlier", "dump_mempool, as 22.11"),
            ("later", "dump mempool, as 25.11"),
        ):
            with tap.case(f"a testpmd that knows {what} is asked in its words"):
                status, output, errors = run(folder, kind)
                tap.check(status == 0 and not errors, f"status {status}: {errors}")
                tap.check(output.count("all 32,768 mbufs are back in the pool") == 2, output)
        for kind, least, words in (
            ("earlier", 0, "magazine, cache=0: one lcore can have every mbuf"),
            ("refuses", 1, "magazine, cache=0: 7 mbufs REFUSED though the driver has them"),
        ):
            with tap.case(f"the demonstration ends with status {least}: {words}"):
                # What never comes is waited for as on an idle machine.
                status, output, errors = run(
                    folder, kind, ("--seconds", "1", "--no-huge"), MAGAZINE_LOADAVG=str(idle)
                )
                tap.check(status == least and not errors, f"status {status}: {errors}")
                tap.check(words in output, output)
                tap.check(
                    "ring_mp_mc: no mbuf for this lcore while 5,232 are free" in output, output
                )
        for kind, parts in WRONG.items():
            with tap.case(f"one sentence: {kind}"):
                status, _, errors = run(folder, kind)
                require_sentence(status, errors, *parts)
                tap.check(kind == "death" or errors.count("\n") == 1, f"more than a line: {errors}")
        with tap.case("one sentence: figures that cannot be written"):
            status, _, errors = run(
                folder,
                "earlier",
                ("--seconds", "1", "--no-huge", "--throughput-only", "--json", "/dev/full"),
            )
            require_sentence(status, errors, "No space left")
        with tap.case("one sentence: started without forward.sh"):
            environment = {
                key: value for key, value in os.environ.items() if key != "MAGAZINE_FILE_PREFIX"
            }
            done = subprocess.run(
                [sys.executable, "-B", FORWARD],
                env=environment,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            require_sentence(done.returncode, done.stderr, "app/forward.sh")
    tap.finish()


if __name__ == "__main__":
    main()
