# SPDX-License-Identifier: BSD-3-Clause
"""A testpmd process: its command line, its console and its telemetry."""

import contextlib
import errno
import json
import os
import pty
import re
import select
import shlex
import socket
import subprocess
import time

import patience
import testpmd_words
from forward_options import OPS, memory_mb

PROMPT = b"testpmd> "
START_SECONDS = 60  # these two for an idle machine
COMMAND_SECONDS = 20
RUNTIME = "/var/run/dpdk"

# What testpmd says when it does not start, and what to do about it.
HINTS = (
    (rb"(?m)^magazine: (.*)$", "magazine says: {0}"),
    (
        rb'failed to parse device "([^"]+)',
        "--vdev {0}: no driver of that name, or not installed; 'apt-cache search librte-net' lists "
        "Debian's",
    ),
    (
        rb"error setting mempool handler",
        "--against {ops}: this DPDK has no such mempool handler; stack is one that it has",
    ),
    (
        rb"Cannot get hugepage information|No free .* hugepages|Cannot allocate memory",
        "too little memory; fewer --mbufs, or --no-huge",
    ),
)


class Failure(Exception):
    """What went wrong, in one sentence for the user."""


def lcore_arguments(count):
    """Main lcore 0, forwarding lcores 1 to count, and a service lcore, on the CPUs that we may use.

    testpmd never forwards on its main lcore, so main and service share the first CPU.
    """
    cpus = sorted(os.sched_getaffinity(0))
    workers = cpus[1:] or cpus
    lcores = [f"0@{cpus[0]}"]
    lcores += [f"{1 + i}@{workers[i % len(workers)]}" for i in range(count)]
    lcores.append(f"{count + 1}@{cpus[0]}")
    return ["--lcores", ",".join(lcores), "-S", str(count + 1)]


class Telemetry:
    """DPDK's telemetry socket; a command that is not known gives None.

    An answer of another kind than expected is one sentence to the user.
    """

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(COMMAND_SECONDS)
        try:
            self.socket.connect(path)
            self.length = json.loads(self.socket.recv(4096))["max_output_len"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failure(
                f"telemetry {path}: {error}; is this DPDK built without telemetry?"
            ) from error

    def ask(self, command, keys=()):
        """The answer; with keys, one that has to be a dictionary with these numbers."""
        try:
            self.socket.settimeout(patience.scaled(COMMAND_SECONDS))
            self.socket.send(command.encode())
            said = self.socket.recv(self.length).decode(errors="replace")
        except OSError as error:
            raise Failure(
                f"telemetry {self.path}, asked {command}: {error}; did testpmd die?"
            ) from error
        try:
            reply = json.loads(said)
        except ValueError:
            reply = None
        answer = reply.get(command.split(",")[0]) if isinstance(reply, dict) else None
        wrong = not isinstance(reply, dict) or (
            keys
            and not (
                isinstance(answer, dict) and all(isinstance(answer.get(key), int) for key in keys)
            )
        )
        if wrong:
            expected = f"numbers for {', '.join(keys)}" if keys else "a dictionary"
            raise Failure(
                f"telemetry {self.path}, asked {command}, expected {expected}, and came "
                f"{testpmd_words.said(said)}"
            )
        return answer

    def ask_list(self, command, otherwise=None):
        """The answer, which has to be a list; of a command that is not known, otherwise."""
        answer = self.ask(command)
        answer = otherwise if answer is None else answer
        if not isinstance(answer, list):
            raise Failure(
                f"telemetry {self.path}, asked {command}, expected a list, and came "
                f"{testpmd_words.said(repr(answer))}"
            )
        return answer

    def close(self):
        self.socket.close()


class Testpmd:
    """One testpmd process, its console and its telemetry."""

    def __init__(self, options, ops, prefix, plugin, huge):
        self.ops = ops
        self.options = options
        self.output = b""
        self.telemetry = None
        self.dump = testpmd_words.MempoolDump(self.run)
        self.runtime = os.path.join(RUNTIME, prefix)
        self.command = self.command_line(options, ops, prefix, plugin, huge)
        environment = dict(os.environ)
        if ops == OPS and options.options:
            environment["MAGAZINE_OPTIONS"] = options.options
        # A terminal for its output, or else the C library holds lines back.
        self.console, terminal = pty.openpty()
        try:
            # Apart from our process group: Ctrl-C is for us, who then end it in order.
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=terminal,
                stderr=terminal,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise Failure(f"cannot run {self.command[0]}: {error.strerror}") from error
        finally:
            os.close(terminal)

    @staticmethod
    def command_line(options, ops, prefix, plugin, huge):
        line = [
            "dpdk-testpmd",
            *lcore_arguments(options.lcores),
            "--no-pci",
            f"--file-prefix={prefix}",
        ]
        if not huge:
            line += ["--no-huge", "-m", str(memory_mb(options))]
        if ops == OPS:
            line += ["-d", plugin]
        line.append(f"--mbuf-pool-ops-name={ops}")
        for device in options.vdev:
            line.append(f"--vdev={device}")
        line += [
            "--",
            "-i",
            f"--total-num-mbufs={options.mbufs}",
            f"--mbcache={options.mbcache}",
            f"--burst={options.burst}",
            f"--forward-mode={options.forward_mode}",
            f"--nb-cores={options.lcores}",
        ]
        # One stream per port and queue, so that every lcore has one.
        queues = -(-options.lcores // len(options.vdev))
        if queues > 1:
            line += [f"--rxq={queues}", f"--txq={queues}"]
        return line + options.more

    def read(self, deadline, done):
        """Collects output until done(output), the end of the process, or the deadline."""
        while not done(self.output):
            left = deadline.left()
            if not left:
                return False
            if not select.select([self.console], [], [], left)[0]:
                continue
            try:
                data = os.read(self.console, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                data = b""
            if not data:
                self.process.wait()
                return False
            self.output += data.replace(b"\r\n", b"\n")
        return True

    def last_lines(self, count=15):
        lines = [line for line in self.output.decode(errors="replace").splitlines() if line.strip()]
        return "\n".join("  | " + line for line in lines[-count:])

    def how_it_ended(self):
        status = self.process.poll()
        if status is None:
            return "does not answer"
        return f"died of signal {-status}" if status < 0 else f"ended with status {status}"

    def hint(self):
        for pattern, sentence in HINTS:
            found = re.search(pattern, self.output)
            if found:
                words = [group.decode(errors="replace") for group in found.groups() if group]
                return "\nforward.sh: " + sentence.format(*words, ops=self.ops)
        return ""

    def wait_ready(self):
        if not self.read(patience.Deadline(START_SECONDS), lambda output: PROMPT in output):
            raise Failure(
                f"testpmd on {self.ops} did not start ({self.how_it_ended()}); its last lines:\n"
                f"{self.last_lines()}\nforward.sh: it was run as: "
                f"{shlex.join(self.command)}{self.hint()}"
            )
        selected = re.search(rb"preferred mempool ops selected: (\S+)", self.output)
        if selected and selected[1].decode() != self.ops:
            raise Failure(f"testpmd made its pool with {selected[1].decode()}, not {self.ops}")
        self.telemetry = Telemetry(os.path.join(self.runtime, "dpdk_telemetry.v2"))
        self.ports = self.telemetry.ask_list("/ethdev/list")
        self.pools = [
            name
            for name in self.telemetry.ask_list("/mempool/list")
            if str(name).startswith("mb_pool_")
        ]
        if not self.ports:
            raise Failure(f"testpmd on {self.ops} has no ports; choose others with --vdev")
        if not self.pools:
            raise Failure(
                f"testpmd on {self.ops} has no pool named mb_pool_..., which holds its mbufs"
            )

    def run(self, command):
        """One console command; its output."""
        self.output = b""
        try:
            self.process.stdin.write(command.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        if not self.read(patience.Deadline(COMMAND_SECONDS), lambda output: PROMPT in output):
            raise Failure(
                f"testpmd on {self.ops}, told '{command}', {self.how_it_ended()}; its last lines:\n"
                f"{self.last_lines()}"
            )
        return self.output.decode(errors="replace")

    def packets(self):
        """Time, received and sent so far, from the quickest of a few answers."""
        best = None
        for _ in range(5):
            begin = time.monotonic()
            stats = [
                self.telemetry.ask(f"/ethdev/stats,{port}", ("ipackets", "opackets"))
                for port in self.ports
            ]
            took = time.monotonic() - begin
            if best is None or took < best[0]:
                received = sum(port["ipackets"] for port in stats)
                best = (took, begin + took / 2, received, sum(port["opackets"] for port in stats))
            if best[0] < 0.001:
                break
        return best[1:]

    def pool_state(self):
        """Of all pools together: mbufs, free in the handler, free in rte_mempool's caches, and of
        these in that of each lcore.
        """
        size = common = cached = 0
        by_lcore = {}
        for pool in self.pools:
            try:
                asked, text = self.dump.ask(pool)
                size += testpmd_words.number(asked, text, "size")
                common += testpmd_words.number(asked, text, "common_pool_count")
                cached += testpmd_words.number(asked, text, "total_cache_count", otherwise=0)
            except testpmd_words.Unexpected as wrong:
                raise Failure(f"testpmd on {self.ops}, {wrong}") from wrong
            for lcore, count in testpmd_words.cache_counts(text).items():
                by_lcore[lcore] = by_lcore.get(lcore, 0) + count
        return {
            "mbufs": size,
            "in_handler": common,
            "in_mempool_caches": cached,
            "in_cache_of": by_lcore,
            "free": common + cached,
        }

    def caches(self):
        """The magazine driver's own statistics of each pool, if it is there and tells them."""
        result = []
        for name in self.telemetry.ask_list("/magazine/list", otherwise=[]):
            stats = self.telemetry.ask(f"/magazine/stats,{name}", ("rounds", "free"))
            lcores = self.telemetry.ask(f"/magazine/lcores,{name}") or {}
            try:
                # Columns: telemetry of DPDK 22.11 has no arrays of dictionaries.
                lcores = [dict(zip(lcores, row)) for row in zip(*lcores.values())]
            except (AttributeError, TypeError) as error:
                raise Failure(
                    f"telemetry {self.telemetry.path}, asked /magazine/lcores,{name}, expected "
                    "columns, and came "
                    f"{testpmd_words.said(repr(lcores))}"
                ) from error
            result.append({"name": name, **stats, "lcores": lcores})
        return result

    def end(self):
        """Quit; by force if need be."""
        if self.telemetry:
            self.telemetry.close()
        with contextlib.suppress(OSError):
            self.process.stdin.write(b"quit\n")
            self.process.stdin.close()
        for stop in (lambda: None, self.process.terminate, self.process.kill):
            stop()
            with contextlib.suppress(subprocess.TimeoutExpired, OSError):
                # Its output has to be read, or it cannot end.
                self.read(patience.Deadline(5), lambda output: False)
                self.process.wait(1)
                break
        with contextlib.suppress(OSError):
            os.close(self.console)
        return self.process.returncode
