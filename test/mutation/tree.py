# SPDX-License-Identifier: BSD-3-Clause
"""A copy of the tree, in which lines are broken, programs built and run to their first failure."""

import contextlib
import os
import pathlib
import re
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE.parent / "dataplane"), str(ROOT / "app")]

import patience  # noqa: E402
import tap  # noqa: E402

SOURCES = ("lib/magazine", "drivers")
PLUGIN = "drivers/mempool/magazine/librte_mempool_magazine.so"
BUILD_SECONDS = 600
# Of a program that is not mutated; one that takes this many times as long as it took so, hangs.
TEST_SECONDS = 240
HANG_FACTOR = 6
HANG_SECONDS = 5
PREFIX = f"{os.environ.get('MAGAZINE_FILE_PREFIX') or 'magazine'}-mutation-{os.getpid()}"
OPTIONS = ("-Dtests=true", "-Doptimization=1", "-Ddebug=false")

_running = set()
_lock = threading.Lock()


def sources(root):
    """The text of each file that is mutated, by its path."""
    return {
        path: path.read_text()
        for folder in SOURCES
        for path in sorted((root / folder).rglob("*.[ch]"))
    }


def end(process):
    """Kill a program and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with _lock:
        _running.discard(process)


def end_all():
    """Kill whatever still runs: for a script that was told to stop."""
    with _lock:
        left = list(_running)
    for process in left:
        end(process)


def remove_runtime_files():
    """What EAL left of programs that were killed."""
    folder = (
        pathlib.Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp") if os.getuid() else "/var/run")
        / "dpdk"
    )
    for left in folder.glob(f"{PREFIX}-*"):
        shutil.rmtree(left, ignore_errors=True)


class Tree:
    """A copy of the tree with a build folder of its own."""

    def __init__(self, root):
        self.root = root
        self.build = root / "build"
        self.seconds = {}
        self.before, self.env = (
            [],
            {},
        )  # of each program: the command that runs it, and what it finds

    @classmethod
    def of_checkout(cls, root):
        """What is under version control, or all but what was built."""
        listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True)
        if listed.returncode == 0:
            for name in filter(None, listed.stdout.decode().split("\0")):
                if (ROOT / name).is_file():
                    (root / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, root / name)
        else:
            shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("build*", ".git"))
        return cls(root)

    def clone(self, root):
        """The same with all that is built."""
        subprocess.run(["cp", "-a", self.root, root], check=True)
        tree = type(self)(root)
        tree.seconds = dict(self.seconds)
        tree.before, tree.env = self.before, self.env
        return tree

    def _command(self, *command):
        process = subprocess.Popen(
            command, cwd=self.root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True)  # fmt: skip
        with _lock:
            _running.add(process)
        try:
            text, _ = process.communicate(timeout=patience.scaled(BUILD_SECONDS))
        finally:
            end(process)
        return process.returncode, text

    def configure(self, *options):
        """Set the build folder up; compiles faster than the default, tests the same lines."""
        status, text = self._command("meson", "setup", str(self.build), *OPTIONS, *options)
        tap.check(status == 0, text[-3000:])
        # Meson names some folders of headers absolutely: a clone would read those of this copy.
        rules = self.build / "build.ninja"
        rules.write_text(rules.read_text().replace(f"{self.root}/", "../"))

    def program(self, name):
        """Where a test program is in the build folder: one of test/unit, or contract/NAME."""
        return f"test/{name}_test" if name.startswith("contract/") else f"test/unit/test_{name}"

    def arguments(self, name):
        """Contract programs run without hugepages, as those of units do by themselves."""
        return ["--no-huge", "-m", "512"] if name.startswith("contract/") else []

    def make(self, programs):
        """Build these programs; the compiler's words when that fails."""
        targets = [self.program(name) for name in programs]
        if any(map(self.arguments, programs)):
            rules = (self.build / "build.ninja").read_text()
            targets.append(re.search(rf"^build ({re.escape(PLUGIN)}\S*):", rules, re.MULTILINE)[1])
        status, text = self._command("ninja", "-C", str(self.build), *targets)
        return "" if status == 0 else text[-3000:]

    def run(self, name, **env):
        """Run a test program, in its short form, to its first failure: what failed, or ""."""
        env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", MAGAZINE_FILE_PREFIX=PREFIX,
                   MAGAZINE_FULL="0", MAGAZINE_BUILD=str(self.build),
                   MAGAZINE_PLUGIN=str(self.build / PLUGIN), **self.env, **env)  # fmt: skip
        start = time.monotonic()
        limit = (
            max(HANG_SECONDS, HANG_FACTOR * self.seconds[name])
            if name in self.seconds
            else TEST_SECONDS
        )
        limit = patience.scaled(limit)
        process = subprocess.Popen(
            [*self.before, "stdbuf", "-oL", self.build / self.program(name), *self.arguments(name)],
            cwd=self.root, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        with _lock:
            _running.add(process)
        try:
            failure = self._watch(process, start + limit)
        finally:
            end(process)
        if not failure:
            self.seconds.setdefault(name, time.monotonic() - start)
        return failure

    @staticmethod
    def _watch(process, deadline):
        """Read until a test fails, the program ends, or the deadline is over."""
        text = b""
        with process.stdout, selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if not selector.select(max(0, deadline - time.monotonic())):
                    return "it does not end"
                more = os.read(process.stdout.fileno(), 65536)
                text += more
                failed = re.search(rb"^not ok \d+ - (?!# SKIP)(\S+)", text, re.MULTILINE)
                if failed:
                    return failed[1].decode()
                if not more:
                    break
            try:
                status = process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return "it does not end"
        if status < 0:
            return f"died of {signal.Signals(-status).name}"
        return f"exit status {status}" if status else ""
