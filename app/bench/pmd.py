# SPDX-License-Identifier: BSD-3-Clause
"""Packets per second of testpmd, on each handler under each mempool cache.

The testpmds of a scene live side by side and forward in turn, in short rounds; what counts is the
median of the per-round ratios to ring_mp_mc under testpmd's own default of 250.
"""

import os
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import forward  # noqa: E402
import forward_options  # noqa: E402
import forward_report  # noqa: E402
import testpmd_process  # noqa: E402

BASE = ("ring_mp_mc", 250, None)
SETTINGS = [
    BASE,
    ("ring_mp_mc", 0, None),
    ("ring_mp_mc", 512, None),
    ("magazine", 0, None),
    ("magazine", 250, None),
    ("magazine", 512, None),
    ("magazine", 0, "rounds=510"),
]
# In flowgen each lcore allocates what it sends and frees what it receives: what the other one
# allocated.
SCENES = {
    "io, null ports, 1 lcore": ["--lcores", "1"],
    "io, null ports, 2 lcores": ["--lcores", "2"],
    "flowgen, ring ports, 2 lcores": [
        "--lcores",
        "2",
        "--forward-mode",
        "flowgen",
        "--vdev",
        "net_ring0",
        "--vdev",
        "net_ring1",
    ],
}
MBUFS = 16384
SECONDS = 0.5


def label(setting):
    ops, cache, options = setting
    return f"{ops}{',' + options if options else ''}/cache:{cache}"


class Testpmd(testpmd_process.Testpmd):
    """A forwarding lcore on each CPU, the first one's beside the main lcore, which sleeps; no
    service lcore.
    """

    @staticmethod
    def command_line(options, ops, prefix, plugin, huge):
        line = testpmd_process.Testpmd.command_line(options, ops, prefix, plugin, huge)
        cpus = sorted(os.sched_getaffinity(0))
        lcores = [f"0@{cpus[0]}"] + [
            f"{1 + i}@{cpus[-1 - i % len(cpus)]}" for i in range(options.lcores)
        ]
        service = line.index("-S")
        del line[service : service + 2]
        line[line.index("--lcores") + 1] = ",".join(lcores)
        return line


def start(arguments, index, setting):
    ops, cache, options = setting
    argv = [*arguments, "--mbufs", str(MBUFS), "--mbcache", str(cache)]
    if options:
        argv += ["--options", options]
    prefix = f"{os.environ['MAGAZINE_FILE_PREFIX']}-pmd{index}"
    return Testpmd(
        forward_options.parse_options(argv), ops, prefix, os.environ["MAGAZINE_PLUGIN"], True
    )


def measure(name, rounds, say):
    """One scene; a row for each setting, or one with the reason why there is none."""
    pmds = []
    rates = {setting: [] for setting in SETTINGS}
    try:
        for index, setting in enumerate(SETTINGS):
            pmds.append(start(SCENES[name], index, setting))
        for pmd in pmds:
            pmd.wait_ready()
        for number in range(rounds):
            say(f"testpmd: {name}, round {number + 1} of {rounds}")
            for setting, pmd in zip(SETTINGS, pmds):
                rates[setting].append(forward_report.rate(forward.forward_round(pmd, SECONDS)))
        back = [forward.check_all_back(pmd) for pmd in pmds]
    except testpmd_process.Failure as failure:
        return [{"scene": name, "handler": "all", "why": str(failure).splitlines()[0]}]
    finally:
        for pmd in pmds:
            pmd.end()
    return [row(name, setting, rates, state) for setting, state in zip(SETTINGS, back)]


def row(name, setting, rates, state):
    ratios = [mine / base for mine, base in zip(rates[setting], rates[BASE]) if base]
    if not ratios:
        return {
            "scene": name,
            "handler": label(setting),
            "why": f"no packet moved on {label(BASE)}",
        }
    quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return {
        "scene": name,
        "handler": label(setting),
        "packets_per_second": statistics.median(rates[setting]),
        "ratio": statistics.median(ratios),
        "q1": quartiles[0],
        "q3": quartiles[2],
        "rounds": len(ratios),
        "missing": state["mbufs"] - state["free"],
    }


def measure_all(rounds, say):
    return [found for name in SCENES for found in measure(name, rounds, say)]
