# SPDX-License-Identifier: BSD-3-Clause
"""Results in the Test Anything Protocol.

A script registers cases and calls run() last; the plan is printed after the results, when their
number is known. A case fails by raising anything, and is skipped by raising Skip with the reason.
"""

import contextlib
import sys
import traceback


class Skip(Exception):
    """What the case needs is not there; the text says what."""


class Failure(AssertionError):
    """The case showed something wrong; the text says what."""


_count = 0
_failed = 0


def note(text):
    """Print a diagnostic, which is no result."""
    for line in str(text).splitlines():
        print("# " + line, flush=True)


def check(condition, text):
    """Fail the running case with text unless condition holds."""
    if not condition:
        raise Failure(text)


def _result(word, name, directive=""):
    global _count
    _count += 1
    print(f"{word} {_count} - {name.replace('#', '')}{directive}", flush=True)


@contextlib.contextmanager
def case(name):
    """One numbered result: ok unless the body raises.

    An exception ends the case, not the script, so that one broken mode does not hide the others.
    """
    global _failed
    try:
        yield
    except Skip as why:
        _result("ok", name, f" # SKIP {why}")
    except Exception as problem:
        _failed += 1
        _result("not ok", name)
        if isinstance(problem, Failure):
            note(problem)
        else:
            note(traceback.format_exc())
    else:
        _result("ok", name)


def finish():
    """Print the plan and exit with the status that the results call for."""
    print(f"1..{_count}", flush=True)
    sys.exit(1 if _failed or not _count else 0)


def bail_out(why):
    """End the script where no result is possible at all."""
    print(f"Bail out! {why}", flush=True)
    sys.exit(1)
