#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's examples of several processes on one pool: on magazine they send what they send on the
default handler, and every mbuf and message comes back.

Ports are wires, see ports.py, which the secondary processes find by themselves. The pool of
simple_mp names a ring: magazine takes its place by MAGAZINE_SWITCHES. With arguments, only these of
the runs of lab.RUNS.
"""

import contextlib
import re
import signal
import subprocess

import lab
import ports
import tap
import traffic
from examples import built, counters, missing, source

MESSAGES = 600
AT_A_TIME = 30  # the ring has 64
START_SECONDS = 60
COUNT = 2000 if not lab.FULL else 20000
CLIENT_HOLDS = 32  # packets at a time: the ring of a client has 128
FOLDER = "multi_process"


class Process:
    """One of the processes; what it says is in a file."""

    def __init__(self, how, name, kind, program, lcores, arguments=(), devices=()):
        self.log = lab.HERE / f"{program.name}-{kind}-{len(list(lab.HERE.glob('*.log')))}.log"
        words = [
            "stdbuf",
            "-oL",
            program,
            *lab.eal(how, name, lcores),
            f"--proc-type={kind}",
            *devices,
        ]
        switches = {"MAGAZINE_SWITCHES": "replace=ring_mp_mc"} if how.ops == "magazine" else {}
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = lab.start(
                *words,
                "--",
                *arguments,
                env=lab.environment(how, **switches),
                stdin=subprocess.PIPE,
                stdout=log,
            )
        self.wait_for(lambda: "Finished Process Init" in self.said(), f"{program.name} has begun")

    def said(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, condition, what):
        def reached():
            tap.check(self.process.poll() is None, f"ended early\n{lab.last_lines(self.said())}")
            return condition()

        try:
            lab.wait_for(reached, START_SECONDS, what)
        except tap.Failure as why:
            raise tap.Failure(f"{why}\n{lab.last_lines(self.said())}") from None

    def type(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self, number=signal.SIGINT):
        status = lab.end(self.process, number)
        tap.check(status == 0, f"status {status}\n{lab.last_lines(self.said())}")
        return self.said()

    def close(self):
        self.process.kill()
        self.process.communicate()


def require_back(how, name, filled, what):
    """All that is not in the ports is back: what mempool caches hold is known if they are off."""
    pools = lab.telemetry(name, "/magazine/list")
    tap.check(bool(pools) == (how.ops == "magazine"), f"pools of magazine: {pools}")
    if how.options:
        lab.wait_for(lambda: sum(missing(name).values()) == filled, 20, f"{what}: {missing(name)}")


def messages(how):
    """simple_mp: messages from each process to the other, which puts them back."""
    program = built(f"{FOLDER}/simple_mp", "simple_mp")
    with contextlib.ExitStack() as stack:
        pair = []
        for kind in ("primary", "secondary"):
            pair.append(
                stack.enter_context(contextlib.closing(Process(how, "simple_mp", kind, program, 2)))
            )
        for first in range(0, MESSAGES, AT_A_TIME):
            for number in range(first, first + AT_A_TIME):
                for process in pair:
                    process.type(f"send message{number}")
            for process in pair:
                process.wait_for(
                    lambda: process.said().count("Received '") == first + AT_A_TIME,
                    f"message {first + AT_A_TIME} received",
                )
        require_back(how, "simple_mp", 0, "every message back")
        for process in reversed(pair):
            process.type("quit")
        logs = [process.end(0) for process in reversed(pair)]
    for log in logs:
        lab.require_quiet(how, log)
    return [sorted(re.findall(r"Received '(\w+)'", log)) for log in logs]


def symmetric(how):
    """symmetric_mp: two processes, each with a queue of each port; the second one ends, and comes
    again."""
    program = built(f"{FOLDER}/symmetric_mp", "symmetric_mp")
    frames = traffic.routed(COUNT)
    with contextlib.ExitStack() as stack, lab.closing(ports.Wires(frames)) as (wires,):

        def begin(kind, number):
            words = ["-p", "3", "--num-procs=2", f"--proc-id={number}"]
            devices = wires.words() if kind == "primary" else []
            process = Process(how, "symmetric_mp", kind, program, 1, words, devices)
            stack.callback(process.close)
            return process

        first = begin("primary", 0)
        second = begin("secondary", 1)
        first.wait_for(wires.up, "the ports are up")
        filled = sum(missing("symmetric_mp").values())
        handled = []
        for round_ in (1, 2):
            wires.send()
            first.wait_for(
                lambda: sum(map(len, wires.sent())) == round_ * COUNT, f"{round_} x {COUNT} sent"
            )
            require_back(how, "symmetric_mp", filled, f"every mbuf back but {filled}")
            said = second.end()
            lab.require_quiet(how, said)
            handled.append(sum(map(int, re.findall(r"RX - (\d+)", said))))
            if round_ == 1:
                second = begin("secondary", 1)
        sent = wires.sent()
        lab.require_quiet(how, first.end())
    tap.check(all(0 < n < COUNT for n in handled), f"of {COUNT} the second process had {handled}")
    return sent


def client_server(how):
    """mp_server receives, and hands packets to mp_client, which sends them."""
    server = built(f"{FOLDER}/client_server_mp/mp_server", "mp_server")
    client = built(f"{FOLDER}/client_server_mp/mp_client", "mp_client")
    frames = traffic.routed(COUNT)
    with contextlib.ExitStack() as stack, lab.closing(ports.Wires(frames)) as (wires,):
        words = ["-p", "3", "-n", "1"]
        first = Process(how, "mp", "primary", server, 1, words, wires.words())
        stack.callback(first.close)
        second = Process(how, "mp", "secondary", client, 1, ["-n", "0"])
        stack.callback(second.close)
        first.wait_for(wires.up, "the ports are up")
        filled = sum(missing("mp").values())
        wires.send(CLIENT_HOLDS, second.wait_for)
        counted, sent = counters("mp"), wires.sent()
        require_back(how, "mp", filled, f"every mbuf back but {filled}")
        second.process.send_signal(signal.SIGTERM)
        lab.require_quiet(how, second.said() + first.end())
    return counted, sent


def main():
    # Before the network is ours alone.
    if lab.outside():
        try:
            source()
        except (tap.Skip, tap.Failure) as why:
            lab.skip_all(why)
    lab.enter()
    for name, what in (
        ("simple_mp", messages),
        ("symmetric_mp", symmetric),
        ("client_server_mp", client_server),
    ):
        expected = None
        for how in lab.chosen_runs():
            with tap.case(f"{name}, {how.name}"):
                lab.need_tools(make="make", cc="gcc", **{"apt-get": "apt"})
                if not lab.has_hugepages():
                    raise tap.Skip("processes share hugepages, and there are none")
                got = what(how)
                expected = expected or got
                tap.check(got == expected, f"{str(got)[:300]}, default {str(expected)[:300]}")
    tap.finish()


main()
