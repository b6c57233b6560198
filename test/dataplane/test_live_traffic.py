#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Packets from the kernel through a tap port in a network namespace of its own: echo answers, and
scattered receive.

The tap port keeps mbufs for its receive queue until it is closed; all are back then.
"""

import ctypes
import os
import socket
import threading

import packets
import tap
from testpmd import FULL, StartRefused, Testpmd, patience

INTERFACE = "magtap0"
CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
ANSWER_SECONDS = 10
COUNT = 2000 if FULL else 200
ONE_PORT = ["--port-topology=loop"]
SCATTER = ["--enable-scatter", "--mbuf-size=384", "--max-pkt-len=1518"]


def kernel_end(pid):
    """A packet socket on the interface, in the namespace of the process."""
    result = []

    def enter():
        try:
            space = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(space, CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(space)
            end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            end.bind((INTERFACE, 0))
            result.append(end)
        except OSError as problem:
            result.append(problem)

    # The namespace belongs to a thread, the socket to the process.
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


def exchange(end, frames, matches):
    """Send each frame and wait for the answer to it."""
    for i, frame in enumerate(frames):
        end.send(frame)
        deadline = patience.Deadline(ANSWER_SECONDS)
        while True:
            end.settimeout(max(deadline.left(), 0.001))
            try:
                answer = end.recv(packets.SNAPLEN)
            except TimeoutError:
                if deadline.left():
                    continue
                raise tap.Failure(
                    f"packet {i}: no answer within {ANSWER_SECONDS} s\n{frame.hex()}"
                ) from None
            if matches(frame, answer):
                break


def echo(frame, answer):
    if packets.is_arp(frame):
        return packets.is_arp_reply(answer)
    return len(answer) == len(frame) and packets.is_echo_reply_to(answer, frame)


def swapped(frame, answer):
    return answer == packets.swap_mac(frame)


def can_tap():
    """Skip where there is no tap device or no namespace to be had."""
    if os.getuid() != 0:
        raise tap.Skip("a tap port needs root")
    if not os.path.exists("/dev/net/tun"):
        raise tap.Skip("no /dev/net/tun")
    if os.system("unshare --net -- true >/dev/null 2>&1"):
        raise tap.Skip("no network namespace to be had")


def open_tap(args):
    try:
        return Testpmd("tap", [f"net_tap0,iface={INTERFACE}"], args=ONE_PORT + args, netns=True)
    except StartRefused as refused:
        try:
            with Testpmd(
                "tap",
                [f"net_tap0,iface={INTERFACE}"],
                args=ONE_PORT + args,
                netns=True,
                ops="ring_mp_mc",
            ):
                raise
        except StartRefused as default:
            if default is refused:
                raise
            raise tap.Skip("the tap port is refused with ring_mp_mc too") from None


for mode, matches in (("icmpecho", echo), ("macswap", swapped)):
    for size, args, how in (
        (64, [], "small packets"),
        (1200, [], "large packets"),
        (1200, SCATTER, "large packets, scattered over small mbufs"),
        (1200, SCATTER + ["--mbcache=0"], "the same without a mempool cache"),
    ):
        with tap.case(f"{mode}, {how}"):
            can_tap()
            with open_tap(args) as pmd, kernel_end(pmd.process.pid) as end:
                with pmd.forwarding(mode) as run:
                    exchange(end, packets.echoes(COUNT, size), matches)
                tap.check(run.totals.rx >= COUNT and run.totals.tx >= COUNT, f"{run.totals}")
                tap.check(
                    pmd.missing() > 0, "the port keeps no mbufs, so that their return shows nothing"
                )
                pmd.stop_ports()
                pmd.close_ports()
                pmd.require_idle()
                pmd.quit()
tap.finish()
