#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Library and driver have no word that DPDK's devtools/checkpatches.sh refuses in a new file.

What they need of it all the same is in one header each: mag_compiler.h and base/compat.h.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/dataplane"))

import tap  # noqa: E402

COMPILER = "lib/magazine/mag_compiler.h"
COMPAT = "lib/magazine/base/compat.h"
REPORT = "lib/magazine/watch/report.c"

# Pattern, what is to be there instead, and the one file that may have it.
REFUSED = (
    (r"__attribute__", "a macro of mag_compiler.h", COMPILER),
    (r"\b__builtin_", "a macro of mag_compiler.h", COMPILER),
    (r"#\s*pragma|\b_Pragma\b", "a macro of mag_compiler.h", COMPILER),
    (r"\b__atomic_\w+\s*\(|\b__ATOMIC_\w+", "<stdatomic.h>, or MAG_LOAD and others", COMPILER),
    (r"\b__sync_\w+\s*\(", "<stdatomic.h>", None),
    (r"\b__typeof__\b", "typeof", None),
    (r"\b__alignof__\b", "alignof", None),
    (r"\b__reserved\b", "another name", None),
    (r"\b__rte_always_inline\b", "inline, or MAG_INLINE", None),
    (r"\b__rte_(?:cache_|cache_min_)?aligned\b", "MAG_ALIGNED", None),
    (r"\brte_atomic\d+_\w+\s*\(", "<stdatomic.h>", None),
    (r"\brte_smp_[rw]?mb\s*\(", "atomic_thread_fence", None),
    (r"\b__rte_atomic_thread_fence\s*\(", "atomic_thread_fence", None),
    (r"\bpthread_(?:create|join|detach|set_?name_np|setaffinity_np)\s*\(", "compat.h", COMPAT),
    (r"\brte_thread_(?:set_name|create_control)\s*\(", "compat.h", COMPAT),
    (r"\bRTE_LOG(?:_DP)?\s*\(", "MAG_LOG", None),
    (r"\bRTE_LOG_REGISTER\b", "RTE_LOG_REGISTER_DEFAULT", None),
    (r"\bf?printf\s*\(|\bperror\s*\(", "MAG_LOG, or a stream of the caller's", None),
    (r"%l{1,2}[xud]", "PRIu64 and others", None),
    (r"\brte_exit\s*\(", "an error for the caller", None),
    (r"\brte_panic\s*\(", "an error for the caller: only option guard=panic asks for it", REPORT),
    (r"\bdefine\b.*[^(,\s]\.\.\.\s*\)", "__VA_ARGS__", None),
)


def without_comments(text):
    """The same lines, without what is in comments."""

    def blank(found):
        return re.sub(r"[^\n]", " ", found[0])

    return re.sub(r"/\*.*?\*/", blank, text, flags=re.DOTALL)


def found(path):
    """Lines with what is refused."""
    name = str(path.relative_to(ROOT))
    for number, line in enumerate(without_comments(path.read_text()).splitlines(), 1):
        for pattern, instead, allowed in REFUSED:
            match = re.search(pattern, line)
            if match and name != allowed:
                yield f"{name}:{number}: {match[0]}: use {instead}"


def main():
    files = sorted(
        path for folder in ("lib", "drivers") for path in (ROOT / folder).rglob("*.[ch]")
    )
    with tap.case(f"{len(files)} files have no word that DPDK's checkpatches.sh refuses"):
        tap.check(len(files) > 50, "files are missing")
        wrong = [line for path in files for line in found(path)]
        tap.check(not wrong, "\n".join(wrong))
    with tap.case("exceptions are needed"):
        for pattern, _, allowed in REFUSED:
            if allowed is not None:
                text = without_comments((ROOT / allowed).read_text())
                tap.check(re.search(pattern, text), f"{allowed}: has no {pattern}")
    tap.finish()


if __name__ == "__main__":
    main()
