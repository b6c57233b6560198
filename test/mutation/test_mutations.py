#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Lines of lib/magazine and of the driver are broken in copies of the tree: a test must fail.

Stored mutations (mutations.txt; its head explains the format) break what a concurrent invariant
relies on and no operator breaks. By default those marked core, with MAGAZINE_FULL=1 all. Each must
apply to exactly one place, compile, and be killed: a test fails, or the program does not end.

Mutants by operator (operators.py says which) are taken at random from all lines: by default as many
as fit into 85 s, with MAGAZINE_FULL=1 into twenty minutes, and then those of memory orders under
ThreadSanitizer. Each is run against the programs that execute its function (coverage.py), by
default against five of them that are quick. Not counted: a mutant that does not compile, or of
which the compiler makes the same code. Survivors are printed as FILE:LINE, operator and changed
line. Some survive because they change nothing that can be seen, and which are tried differs from
run to run, so a survivor by itself fails nothing. The run fails when so few are killed that with a
true share of SHARE_LEAST there would be one such run in a million: that takes tests that are gone,
not bad luck.

    test_mutations.py            the test
    test_mutations.py --check    list stored mutations that apply to no or several places, and what
                                 is wrong with programs.txt; no build
    test_mutations.py --list     list all mutants by operator
    test_mutations.py --map      measure which program executes which file, into programs.txt

MAGAZINE_SEED=N repeats the choice of a run, which prints its seed. MAGAZINE_SECONDS=N is the time
for mutants by operator. MAGAZINE_MUTATIONS=PATTERN runs all of those, stored or not, that the
pattern is found in: a title, or "FILE: FUNCTION: OPERATOR: changed line" as printed.
"""

import collections
import concurrent.futures
import contextlib
import functools
import hashlib
import itertools
import json
import math
import os
import pathlib
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import coverage
import operators
import tree
from tree import HERE, ROOT, sources, tap

ENTRIES_MAX = 40
WORKERS = min(os.cpu_count() or 1, 8)
# From the start of the script on, with the build.
SECONDS = 85
SECONDS_FULL = 1300
SECONDS_ORDER = 500
PROGRAMS = 5
QUICK_SECONDS = 15
TRIES = 3  # of a stored mutation: what needs two threads to meet may not meet at once
BASE_SECONDS = 1
SHARE_LEAST = 0.6
CHANCE = 1e-6
# For the driver, which most unit programs leave alone.
CONTRACTS = ("blocks", "datapath", "lifetime", "options", "refusal")
TSAN = {
    "MAGAZINE_SANITIZER": "thread",
    "MAGAZINE_POISON": "0",
    "TSAN_OPTIONS": "halt_on_error=1 exitcode=66",
}


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
        return [
            (path, found.start()) for path, text in texts.items() for found in old.finditer(text)
        ]

    def place(self, texts):
        """The one place; fails the case if there is none, or more than one."""
        places = self.places(texts)
        names = " ".join(str(path.relative_to(ROOT)) for path, _ in places)
        old = "\n".join(self.old)
        tap.check(
            len(places) == 1,
            f"the old lines are in {len(places)} places, must be one: {names}\n{old}",
        )
        return places[0]

    def change(self, texts):
        """The file that it changes, and the new text of that."""
        path, start = self.place(texts)
        old, new = ("".join(f"{line}\n" for line in lines) for lines in (self.old, self.new))
        return path.relative_to(ROOT), texts[path][:start] + new + texts[path][start + len(old) :]


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


def check(table):
    """Whether programs.txt is sound and each entry applies to one place; prints what is wrong."""
    texts = sources(ROOT)
    looks = [("the programs", coverage.Map)]
    looks += [(one, functools.partial(one.place, texts)) for one in table]
    wrong = 0
    for what, look in looks:
        try:
            look()
        except tap.Failure as problem:
            wrong += 1
            print(f"{what}: {problem}\n", flush=True)
    return wrong == 0


def all_mutants(texts):
    """Mutants by operator of all files."""
    return [
        one
        for path, text in texts.items()
        for one in operators.mutants_of(path.relative_to(ROOT), text)
    ]


def describe(mutant):
    """A line that says where it is, what was done, and what came of it."""
    was = "" if mutant.operator == "delete" else f" (was: {mutant.old_line})"
    return f"{mutant.path}:{mutant.line}: {mutant.key}{was}"


class Farm:
    """Copies of the tree, one for each worker, and what runs in them."""

    def __init__(self, first):
        self.first = first
        self.pool = concurrent.futures.ThreadPoolExecutor(WORKERS)
        self.free = queue.Queue()
        self.objects = {}

    def build(self, programs):
        """Build the first copy, and make the other workers' copies of it."""
        problem = self.first.make(programs)
        tap.check(not problem, problem)
        self.objects = objects_of(self.first, programs)
        self.free.put(self.first)
        for number in range(1, WORKERS):
            self.free.put(
                self.first.clone(self.first.root.parent / f"{self.first.root.name}-{number}")
            )

    @contextlib.contextmanager
    def copy(self):
        copy = self.free.get()
        try:
            yield copy
        finally:
            self.free.put(copy)

    def baseline(self, programs):
        """Run the programs without a mutation: what failed of which."""

        def run(name):
            with self.copy() as copy:
                return name, copy.run(name)

        failures = {name: why for name, why in self.pool.map(run, programs) if why}
        for copy in list(self.free.queue):
            self.first.seconds.update(copy.seconds)
        for copy in list(self.free.queue):
            copy.seconds.update(self.first.seconds)
        return failures

    def attempt(self, file, text, programs, tries=1):
        """What kills a changed file: ("killed", by what), or ("survived" or "same" or "invalid",
        why).
        """
        with self.copy() as copy:
            path = copy.root / file
            old = path.read_text()
            path.write_text(text)
            try:
                problem = copy.make(programs)
                if problem:
                    return "invalid", problem
                if objects_of(copy, programs).items() <= self.objects.items():
                    return "same", ""
                for name in programs * tries:
                    failure = copy.run(name)
                    if failure:
                        return "killed", f"{name}: {failure}"
                return "survived", " ".join(programs) or "no test executes it"
            finally:
                path.write_text(old)


def objects_of(copy, programs):
    """A digest of each object file of the code under test and of these programs."""
    # The tests may have a library of their own, with all symbols.
    places = [
        *copy.build.rglob("lib*magazine.*.p"),
        *(copy.build / f"{copy.program(name)}.p" for name in programs),
    ]
    objects = (path for place in places for path in place.rglob("*.o"))
    return {
        path.relative_to(copy.build): hashlib.sha1(path.read_bytes()).digest() for path in objects
    }


def test_programs(copy):
    """The names of all programs that a mutant can be run against: units, and contracts without
    hugepages.
    """
    listed = subprocess.run(
        ["meson", "introspect", "--tests", copy.build], capture_output=True, text=True, check=True
    )
    names = []
    for test in json.loads(listed.stdout):
        suites = [suite.split(":")[-1] for suite in test["suite"]]
        if "unit" in suites:
            names.append(test["name"])
        elif "contract" in suites and test["name"] in (f"{name}-no-huge" for name in CONTRACTS):
            names.append("contract/" + test["name"].removesuffix("-no-huge"))
    return names


def chance(killed, tried):
    """The chance that no more are killed, if the true share were SHARE_LEAST."""
    return sum(
        math.comb(tried, k) * SHARE_LEAST**k * (1 - SHARE_LEAST) ** (tried - k)
        for k in range(killed + 1)
    )


class Sample:
    """Mutants by operator in random order, tried until the time is over."""

    def __init__(self, farm, mutants, known, most):
        self.farm, self.mutants, self.known, self.most = farm, mutants, known, most
        self.results = []

    def programs(self, mutant, names):
        return self.known.programs(mutant.path, mutant.function, names)[: self.most]

    def run(self, texts, names, deadline):
        """Each worker takes the next one, and at least one; what has begun is finished."""
        todo = iter(self.mutants)
        lock = threading.Lock()

        def work(_):
            for turn in itertools.count():
                if turn > 0 and deadline is not None and time.monotonic() >= deadline:
                    return
                with lock:
                    mutant = next(todo, None)
                if mutant is None:
                    return
                programs = self.programs(mutant, names)
                result, why = self.farm.attempt(
                    mutant.path, mutant.apply(texts[ROOT / mutant.path]), programs
                )
                with lock:
                    self.results.append((mutant, result))
                    if result == "survived":
                        tap.note(f"survived {why}: {describe(mutant)}")
                    elif self.most is None and result == "killed":
                        tap.note(f"killed by {why}: {describe(mutant)}")

        list(self.farm.pool.map(work, range(WORKERS)))

    def count(self):
        """How many of each result."""
        count = collections.Counter(result for _, result in self.results)
        tried = count["killed"] + count["survived"]
        tap.note(
            f"{count['killed']} of {tried} killed; {count['same']} make the same code, "
            f"{count['invalid']} do not compile"
        )
        return count

    def report(self):
        """Print the shares; fails the case if they are too low."""
        files = {}
        for mutant, result in self.results:
            if result in ("killed", "survived"):
                files.setdefault(mutant.path.name, []).append(result == "killed")
        for name, kills in sorted(files.items()):
            tap.note(f"{name}: {sum(kills)} of {len(kills)} killed")
        count = self.count()
        killed, tried = count["killed"], count["killed"] + count["survived"]
        tap.check(tried > 0, "none could be tried")
        tap.check(chance(killed, tried) > CHANCE, f"only {killed} of {tried} killed")


def run_stored(farm, mutations, texts):
    """A case for each stored mutation."""

    def attempt(mutation):
        try:
            return farm.attempt(*mutation.change(texts), mutation.programs, TRIES)
        except tap.Failure as problem:
            return "not tried", problem

    for mutation, (word, why) in zip(mutations, farm.pool.map(attempt, mutations)):
        with tap.case(f"killed: {mutation}"):
            tap.check(word == "killed", f"{word}: {why}")
            tap.note(f"{mutation}: {why}")


def run_order(first, texts, mutants, measured):
    """Memory orders, under ThreadSanitizer."""
    with tap.case("some weakened memory orders make a race that ThreadSanitizer sees"):
        first.before = ["setarch", "-R"]
        first.configure("-Db_sanitize=thread", "-Db_lundef=false")
        first.env = TSAN
        sample = Sample(Farm(first), mutants, coverage.Map(measured), None)
        everything = test_programs(first)
        names = sorted({name for one in mutants for name in sample.programs(one, everything)})
        sample.farm.build(names)
        failures = sample.farm.baseline(names)
        tap.note(
            f"not used, since they fail as it is: {failures}" if failures else "all pass as it is"
        )
        sample.run(
            texts,
            [name for name in names if name not in failures],
            time.monotonic() + SECONDS_ORDER,
        )
        tap.check(sample.count()["killed"] > 0, "none was killed")


class Plan:
    """What this run does."""

    def __init__(self):
        self.full = os.environ.get("MAGAZINE_FULL") == "1"
        self.pattern = os.environ.get("MAGAZINE_MUTATIONS")
        seed = int(os.environ.get("MAGAZINE_SEED") or random.randrange(1 << 32))
        self.seconds = int(
            os.environ.get("MAGAZINE_SECONDS") or (SECONDS_FULL if self.full else SECONDS)
        )
        self.table = read_table(HERE / "mutations.txt")
        self.texts = sources(ROOT)
        self.stored = [one for one in self.table if self.wants(one.title, self.full or one.core)]
        mutants = [
            one for one in all_mutants(self.texts) if self.wants(f"{one.path}: {one.key}", True)
        ]
        random.Random(seed).shuffle(mutants)
        self.orders = [one for one in mutants if one.operator == "order"]
        self.mutants = [one for one in mutants if one.operator != "order"]
        tap.note(
            f"seed {seed}; {len(self.mutants)} mutants by operator, {len(self.orders)} of memory "
            "orders"
        )

    def wants(self, text, otherwise):
        return bool(re.search(self.pattern, text)) if self.pattern else otherwise

    def programs(self, names, known):
        """The programs to build: all, those that a pattern needs, or those that are quick."""
        needed = {name for mutation in self.stored for name in mutation.programs}
        if self.full:
            needed |= set(names)
        elif self.pattern:
            needed |= {
                name
                for one in self.mutants
                for name in known.programs(one.path, one.function, names)
            }
        else:
            needed |= {name for name in names if known.seconds.get(name, 0) <= QUICK_SECONDS}
        return [name for name in names if name in needed]


def run_measure(first, names):
    """What each program executes; the case fails when one of them does."""
    with tap.case("without a mutation the programs pass"):
        first.configure("-Db_coverage=true")
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            done, failures = coverage.measure(first, names or test_programs(first), pool)
        tap.check(not failures, failures)
    return done


def run(folder, begin):
    """All of it, in copies of the tree in this folder."""
    plan = Plan()
    with tap.case("each stored mutation applies to one place, and there are at most 40"):
        tap.check(len(plan.table) <= ENTRIES_MAX, f"there are {len(plan.table)}")
        tap.check(check(plan.table), "some do not")
    first = tree.Tree.of_checkout(folder / "tree")
    measured = None
    if plan.full:
        covered = tree.Tree.of_checkout(folder / "covered")
        measured = run_measure(covered, None)
        first.seconds = covered.seconds
    known = coverage.Map(measured)
    farm, ready = Farm(first), False
    with tap.case("it builds, and programs pass as it is"):
        first.configure()
        first.seconds = first.seconds or known.seconds
        names = plan.programs(test_programs(first), known)
        farm.build(names)
        # The slower ones have passed in the unit suite.
        failures = farm.baseline(
            [name for name in names if first.seconds.get(name, 0) <= BASE_SECONDS]
        )
        tap.check(not failures, failures)
        ready = True
    if not ready:
        return
    run_stored(farm, plan.stored, plan.texts)
    if plan.mutants:
        with tap.case("enough mutants by operator are killed"):
            sample = Sample(
                farm, plan.mutants, known, None if plan.full or plan.pattern else PROGRAMS
            )
            sample.run(plan.texts, names, None if plan.pattern else begin + plan.seconds)
            sample.report()
    if plan.orders and (plan.full or plan.pattern):
        run_order(tree.Tree.of_checkout(folder / "tsan"), plan.texts, plan.orders, measured)


def main():
    begin = time.monotonic()
    # Stopped by a time limit too, what was started and copied is gone.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    done = False
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if check(read_table(HERE / "mutations.txt")) else 1)
    if sys.argv[1:] == ["--list"]:
        for mutant in all_mutants(sources(ROOT)):
            print(describe(mutant))
        return
    # Not in /tmp: EAL loads no plugin from below a folder that anybody may write to.
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mutation-", dir=ROOT / "build") as folder:
        try:
            if sys.argv[1:] == ["--map"]:
                first = tree.Tree.of_checkout(pathlib.Path(folder) / "tree")
                coverage.write(run_measure(first, None), first.seconds)
            else:
                run(pathlib.Path(folder), begin)
            done = True
        finally:
            tree.end_all()
            tree.remove_runtime_files()
            if not done:
                # Workers would go on with the next mutant.
                shutil.rmtree(folder, ignore_errors=True)
                traceback.print_exc()
                sys.stdout.flush()
                os._exit(1)
    tap.finish()


if __name__ == "__main__":
    main()
