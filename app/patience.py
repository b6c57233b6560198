#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Limits of time that grow with the load of the machine; test/patience.h is the same for C.

A limit says that something hangs. It is meant for an idle machine; where N threads want each CPU,
everything takes N times as long. The load is looked at when the limit is reached, so it covers what
came after the start.

As a command, 'patience.py SECONDS COMMAND...' is timeout(1) with such a limit, and with its exit
statuses.
"""

import os
import signal
import subprocess
import sys
import time

MOST = 8  # what hangs is told in the end
GRACE_SECONDS = 10  # to end when asked to
POLL_SECONDS = 0.02
LOAD = os.environ.get("MAGAZINE_LOADAVG") or "/proc/loadavg"  # for the test of this


def factor():
    """How much longer than on an idle machine something may take: 1 to MOST."""
    try:
        with open(LOAD, encoding="ascii") as file:
            load = float(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return 1
    return min(max(load / (os.cpu_count() or 1), 1), MOST)


def scaled(seconds):
    """A limit for who can take a number only."""
    return seconds * factor()


class Deadline:
    """So many seconds of an idle machine from now on."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.begin = time.monotonic()

    def left(self):
        """Seconds to wait before it is worth to look again; none if it is over."""
        return max(self.begin + self.seconds * factor() - time.monotonic(), 0)


def until(condition, seconds):
    """Polls condition() until it returns something true, or in the end whatever it returns."""
    deadline = Deadline(seconds)
    while True:
        value = condition()
        if value or not deadline.left():
            return value
        time.sleep(POLL_SECONDS)


def wait(process, seconds):
    """As Popen.wait(), with a limit that grows."""
    deadline = Deadline(seconds)
    while True:
        try:
            return process.wait(deadline.left())
        except subprocess.TimeoutExpired:
            if not deadline.left():
                raise


def end_group(process, number):
    """Ends all of them; the number is that of the signal that did."""
    for number in (number, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE_SECONDS)
        except ProcessLookupError:
            process.wait()
        except subprocess.TimeoutExpired:
            continue
        break
    return number


def main():
    if len(sys.argv) < 3 or not sys.argv[1].isdigit():
        sys.exit("usage: patience.py SECONDS COMMAND...")

    def stop(number, _):
        end_group(process, number)
        os._exit(128 + number)

    try:
        process = subprocess.Popen(sys.argv[2:], preexec_fn=lambda: os.setpgid(0, 0))
    except OSError as error:
        print(f"{sys.argv[2]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        status = wait(process, int(sys.argv[1]))
    except subprocess.TimeoutExpired:
        sys.exit(124 if end_group(process, signal.SIGTERM) == signal.SIGTERM else 137)
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
