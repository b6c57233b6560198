#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Each line that an invariant relies on is broken in turn, in a copy of the tree: a test must fail.

mutations.txt says how (its head explains the format). By default the mutations marked core, with MAGAZINE_FULL=1
all of them. A mutation fails its case when it does not apply to exactly one place, does not compile, or
survives. A program that does not end counts as one that failed.

MAGAZINE_MUTATIONS=PATTERN runs those whose "file: title" the pattern is found in.
"""

import contextlib
import os
import pathlib
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE.parent / "dataplane"), str(ROOT / "app")]

import patience  # noqa: E402
import tap  # noqa: E402

BUILD_SECONDS = 600
# Of a program that is not mutated; one that takes this many times as long as it took so, hangs.
TEST_SECONDS = 240
HANG_FACTOR = 8
HANG_SECONDS = 30
PREFIX = f"{os.environ.get('MAGAZINE_FILE_PREFIX') or 'magazine'}-mutation-{os.getpid()}"


class Mutation:
    """One entry of the table."""

    def __init__(self, file, title):
        self.file = file
        self.title = title
        self.core = False
        self.programs = []
        self.old = []
        self.new = []

    def __str__(self):
        return f"{self.file}: {self.title}"

    def apply(self, text):
        """The text with the mutation; its old lines must be there once."""
        old = "\n".join(self.old) + "\n"
        places = len(re.findall("^" + re.escape(old), text, re.MULTILINE))
        tap.check(places == 1, f"the old lines are in {places} places of {self.file}, must be one:\n{old}")
        return re.sub("^" + re.escape(old), lambda _: "".join(f"{line}\n" for line in self.new), text, flags=re.MULTILINE)


def read_table(path):
    """All mutations of the file, in its order."""
    mutations = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        head = re.fullmatch(r"(core )?(\S+\.[ch]): (.*)", line)
        if not line or line.startswith("#"):
            continue
        if head:
            mutations.append(Mutation(head[2], head[3]))
            mutations[-1].core = bool(head[1])
        elif line.startswith("kill: ") and mutations and not mutations[-1].programs:
            mutations[-1].programs = line.split()[1:]
        elif line[0] in " -+" and mutations and mutations[-1].programs:
            if line[0] != "+":
                mutations[-1].old.append(line[1:])
            if line[0] != "-":
                mutations[-1].new.append(line[1:])
        else:
            raise SystemExit(f"{path.name}:{number}: not understood: {line}")
    return mutations


def end(process):
    """Kill a program and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Copy:
    """A copy of the tree with a build folder of its own."""

    def __init__(self, folder):
        self.root = folder / "tree"
        self.build = self.root / "build"
        self.seconds = {}
        self._copy()

    def _copy(self):
        listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True)
        if listed.returncode == 0:
            for name in filter(None, listed.stdout.decode().split("\0")):
                if (ROOT / name).is_file():
                    (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, self.root / name)
        else:
            # Not a checkout: everything but what was built.
            shutil.copytree(ROOT, self.root, ignore=shutil.ignore_patterns("build*", ".git"))

    def _command(self, *command):
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, timeout=patience.scaled(BUILD_SECONDS))

    def configure(self):
        """Set the build folder up; compiles faster than the default, tests the same lines."""
        done = self._command("meson", "setup", self.build, "-Dtests=true", "-Doptimization=1", "-Ddebug=false")
        tap.check(done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:])

    def make(self, programs):
        """Build these programs; the compiler's words when that fails."""
        done = self._command("ninja", "-C", str(self.build), *(f"test/unit/test_{name}" for name in programs))
        return "" if done.returncode == 0 else done.stdout[-3000:]

    def run(self, name):
        """Run a test program to its first failure: what failed, or "" when nothing did."""
        env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", MAGAZINE_FILE_PREFIX=PREFIX, MAGAZINE_BUILD=str(self.build))
        start = time.monotonic()
        limit = max(HANG_SECONDS, HANG_FACTOR * self.seconds[name]) if name in self.seconds else TEST_SECONDS
        limit = patience.scaled(limit)
        process = subprocess.Popen(
            ["stdbuf", "-oL", self.build / f"test/unit/test_{name}"],
            cwd=self.root, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True)  # fmt: skip
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
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if not selector.select(max(0, deadline - time.monotonic())):
                    return "it does not end"
                more = os.read(process.stdout.fileno(), 65536)
                text += more
                failed = re.search(rb"^not ok \d+ - (\S+)$", text, re.MULTILINE)
                if failed:
                    return failed[1].decode()
                if not more:
                    break
        status = process.wait()
        if status < 0:
            return f"died of {signal.Signals(-status).name}"
        return f"exit status {status}" if status else ""


def remove_runtime_files():
    """What EAL left of programs that were killed."""
    folder = pathlib.Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp") if os.getuid() else "/var/run") / "dpdk"
    for left in folder.glob(f"{PREFIX}-unit-*"):
        shutil.rmtree(left, ignore_errors=True)


def show_killed(copy, mutation):
    """Apply, build, run, restore; fails the case unless a test failed."""
    path = copy.root / "lib/magazine" / mutation.file
    text = path.read_text()
    path.write_text(mutation.apply(text))
    try:
        problem = copy.make(mutation.programs)
        tap.check(not problem, f"does not compile:\n{problem}")
        for name in mutation.programs:
            failure = copy.run(name)
            if failure:
                tap.note(f"{mutation}: {name}: {failure}")
                return
    finally:
        path.write_text(text)
    raise tap.Failure(f"survived {' '.join(mutation.programs)}")


def chosen():
    """The mutations of this run."""
    pattern = os.environ.get("MAGAZINE_MUTATIONS")
    full = os.environ.get("MAGAZINE_FULL") == "1"
    for mutation in read_table(HERE / "mutations.txt"):
        if re.search(pattern, str(mutation)) if pattern else full or mutation.core:
            yield mutation


def main():
    # Stopped by a time limit too, what was started and copied is gone.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # By file, so that each build has little to do.
    mutations = sorted(chosen(), key=lambda mutation: mutation.file)
    programs = sorted({name for mutation in mutations for name in mutation.programs})
    with tempfile.TemporaryDirectory(prefix="magazine-mutation-") as folder:
        copy = Copy(pathlib.Path(folder))
        with tap.case("without a mutation the programs pass"):
            copy.configure()
            problem = copy.make(programs)
            tap.check(not problem, problem)
            for name in programs:
                failure = copy.run(name)
                tap.check(not failure, f"{name}: {failure}")
        for mutation in mutations if len(copy.seconds) == len(programs) else []:
            with tap.case(f"killed: {mutation}"):
                show_killed(copy, mutation)
        remove_runtime_files()
    tap.finish()


if __name__ == "__main__":
    main()
