#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The endpoint for DPDK's telemetry exporter, and the dashboard over it, beside a live testpmd.

The exporter itself came with DPDK 23.11: that of the PATH, or of MAGAZINE_EXPORTER, is tried.
"""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import tap
import testpmd
from testpmd import RING_PORTS, ROOT, START_SECONDS, Testpmd, runtime_dir

sys.path.insert(0, str(ROOT / "app"))

import patience  # noqa: E402

FOLDER = ROOT / "app/exporter"
EXPORTER = os.environ.get("MAGAZINE_EXPORTER") or shutil.which("dpdk-telemetry-exporter.py")
SAMPLE = re.compile(r"(\w+)\{(.*)\} (\d+)")


def endpoint():
    """The endpoint as the exporter loads it."""
    spec = importlib.util.spec_from_file_location("magazine", FOLDER / "magazine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Sock:
    """What the exporter hands to an endpoint."""

    def __init__(self, pmd):
        self.pmd = pmd

    def cmd(self, command, argument=None):
        return self.pmd.telemetry(command if argument is None else f"{command},{argument}")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def exporter(pmd):
    """The real one at work; its address."""
    address = f"127.0.0.1:{free_port()}"
    path = runtime_dir(pmd.prefix) / "dpdk_telemetry.v2"
    command = [sys.executable, "-B", EXPORTER, "-s", path, "-p", FOLDER, "-e", "magazine"]
    process = subprocess.Popen(
        [*command, "-o", f"openmetrics://{address}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield f"http://{address}/metrics"
    finally:
        process.kill()
        output = process.communicate()[0]
        tap.check("Traceback" not in output, output)


def page(address):
    """What it serves, once it does."""

    def get():
        try:
            with urllib.request.urlopen(address, timeout=testpmd.COMMAND_SECONDS) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, OSError):
            return None

    served = patience.until(get, START_SECONDS)
    tap.check(served, f"nothing at {address}")
    return served


def names_of_dashboard():
    """Metrics in the expressions of the dashboard."""
    text = (FOLDER / "grafana.json").read_text()
    json.loads(text)
    return set(re.findall(r"dpdk_magazine_\w+", text))


with tap.case("the dashboard asks for metrics that the endpoint has, and for each of them"):
    known = {f"dpdk_magazine_{name}" for name in endpoint().info()}
    asked = names_of_dashboard()
    tap.check(asked == known, f"only in one: {asked ^ known}")

with tap.case("the endpoint tells where all objects of a pool are"):
    if testpmd.OPS != "magazine":
        raise tap.Skip(f"figures are the driver's, and this run is on {testpmd.OPS}")
    with Testpmd("endpoint", RING_PORTS, 1, mbcache=64) as pmd:
        with pmd.forwarding("rxonly"):
            told = endpoint().metrics(Sock(pmd))
        tap.check({name for name, _, _ in told} == set(endpoint().info()), f"{told}")
        places = {labels["place"]: value for name, value, labels in told if name == "objects"}
        tap.check(len(places) == 5 and sum(places.values()) == testpmd.MBUFS, f"{places}")
        pmd.quit()

with tap.case("DPDK's exporter serves it"):
    if EXPORTER is None:
        raise tap.Skip("this DPDK has no dpdk-telemetry-exporter.py: set MAGAZINE_EXPORTER")
    with Testpmd("exporter", RING_PORTS, 1) as pmd:
        with exporter(pmd) as address:
            samples = [SAMPLE.fullmatch(line) for line in page(address).splitlines()]
            samples = [sample.groups() for sample in samples if sample]
        places = [int(value) for name, _, value in samples if name == "dpdk_magazine_objects"]
        tap.check(len(places) == 5 and sum(places) == testpmd.MBUFS, f"{samples}")
        tap.check({name for name, _, _ in samples} == names_of_dashboard(), f"{samples}")
        # Prometheus wants all samples of a metric in one piece.
        order = [name for name, _, _ in samples]
        pieces = [name for i, name in enumerate(order) if i == 0 or order[i - 1] != name]
        tap.check(len(pieces) == len(set(order)), f"{order}")
        pmd.quit()
tap.finish()
