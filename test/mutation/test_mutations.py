#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Each line that a concurrent invariant relies on is broken in turn, in a copy of the tree: a test must fail.

mutations.txt says how (its head explains the format). By default the mutations marked core, with MAGAZINE_FULL=1
all of them. A mutation fails its case when it does not apply to exactly one place, does not compile, or
survives. A program that does not end counts as one that failed.

test_mutations.py --check only lists the entries that do not apply to exactly one place, without a build; its exit
status is 1 if there are any. MAGAZINE_MUTATIONS=PATTERN runs those whose title the pattern is found in.
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

ENTRIES_MAX = 40
BUILD_SECONDS = 600
# Of a program that is not mutated; one that takes this many times as long as it took so, hangs.
TEST_SECONDS = 240
HANG_FACTOR = 8
HANG_SECONDS = 30
PREFIX = f"{os.environ.get('MAGAZINE_FILE_PREFIX') or 'magazine'}-mutation-{os.getpid()}"


class Mutation:
    """One entry of the table."""

    def __init__(self, title, core):
        self.title = title
        self.core = core
        self.programs = []
        self.old = []
        self.new = []

    def __str__(self):
        return self.title

    def places(self, texts):
        """Where the old lines are: path and offset of each place in these texts by path."""
        old = re.compile("^" + re.escape("".join(f"{line}\n" for line in self.old)), re.MULTILINE)
        return [(path, found.start()) for path, text in texts.items() for found in old.finditer(text)]

    def place(self, texts):
        """The one place; fails the case if there is none, or more than one."""
        places = self.places(texts)
        names = " ".join(str(path.relative_to(ROOT)) for path, _ in places)
        tap.check(len(places) == 1, f"the old lines are in {len(places)} places, must be one: {names}\n" + "\n".join(self.old))
        return places[0]


def sources(root):
    """The text of each file that is mutated, by its path."""
    return {
        path: path.read_text()
        for folder in ("lib/magazine", "drivers")
        for path in sorted((root / folder).rglob("*.[ch]"))
    }


def read_table(path):
    """All mutations of the file, in its order."""
    mutations = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        if line.startswith("kill: ") and mutations and not mutations[-1].programs:
            mutations[-1].programs = line.split()[1:]
        elif line[0] in " -+" and mutations and mutations[-1].programs:
            if line[0] != "+":
                mutations[-1].old.append(line[1:])
            if line[0] != "-":
                mutations[-1].new.append(line[1:])
        elif line[0].isalpha() and (not mutations or mutations[-1].old):
            mutations.append(Mutation(line.removeprefix("core "), line.startswith("core ")))
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
    path, start = mutation.place(sources(ROOT))
    path = copy.root / path.relative_to(ROOT)
    text = path.read_text()
    old, new = ("".join(f"{line}\n" for line in lines) for lines in (mutation.old, mutation.new))
    path.write_text(text[:start] + new + text[start + len(old) :])
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


def chosen(table):
    """The mutations of this run."""
    pattern = os.environ.get("MAGAZINE_MUTATIONS")
    full = os.environ.get("MAGAZINE_FULL") == "1"
    return [entry for entry in table if (re.search(pattern, entry.title) if pattern else full or entry.core)]


def check(table):
    """Whether each entry applies to one place; prints those that do not."""
    texts = sources(ROOT)
    wrong = 0
    for mutation in table:
        try:
            mutation.place(texts)
        except tap.Failure as problem:
            wrong += 1
            print(f"{mutation}: {problem}\n")
    return wrong == 0


def main():
    # Stopped by a time limit too, what was started and copied is gone.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    table = read_table(HERE / "mutations.txt")
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if check(table) else 1)
    mutations = chosen(table)
    programs = sorted({name for mutation in mutations for name in mutation.programs})
    with tempfile.TemporaryDirectory(prefix="magazine-mutation-") as folder:
        copy = Copy(pathlib.Path(folder))
        with tap.case("each mutation applies to one place, and there are at most 40"):
            tap.check(len(table) <= ENTRIES_MAX, f"there are {len(table)}")
            tap.check(check(table), "some do not")
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
