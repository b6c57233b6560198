# SPDX-License-Identifier: BSD-3-Clause
"""The pools of a process at a moment, and what happened between two moments."""

import time

import telemetry

PLACES = ("out", "lcores", "depot", "slabs", "caches")
EVENTS_KEPT = 256
# Of a pool, counters that only grow: each has a rate of the same name.
COUNTERS = (
    "gets",
    "puts",
    "lcores_in",
    "lcores_out",
    "slab_allocs",
    "slab_frees",
    "failed_gets",
    "contention",
    "steals",
)


def share(part, whole):
    """Percent, or None of nothing."""
    return None if whole <= 0 else 100 * min(max(part / whole, 0), 1)


def origins(rates):
    """Where the objects that were got came from, in percent: magazines of the same slot, depot,
    slabs.

    A magazine that comes from the depot counts with all its objects, so the three are shares of
    what moved, and add up to 100.
    """
    gets, came = rates.get("gets", 0), rates.get("lcores_in", 0)
    slabs = min(rates.get("slab_allocs", 0), came)
    return {
        "lcore": share(gets - came, gets),
        "depot": share(min(came, gets) - min(slabs, gets), gets),
        "slab": share(min(slabs, gets), gets),
    }


class Process:
    """A process with pools: reconnects when it comes again."""

    def __init__(self, path):
        self.path = path
        self.line = None
        self.before = {}  # by pool: time and counters
        self.slots_before = {}  # the same of slots
        self.events = []  # of all pools, oldest first
        self.next_event = {}  # by pool: number of the first event that is not known yet

    def connect(self):
        """Raises telemetry.Lost."""
        if self.line is None:
            self.line = telemetry.Telemetry(self.path)
            self.before, self.slots_before = {}, {}
            self.events, self.next_event = [], {}

    def drop(self):
        """Connect anew next time."""
        if self.line is not None:
            self.line.close()
        self.line = None

    def names(self):
        """All names, mempools first, and which of them magazine has."""
        mempools = self.line.ask("/mempool/list") or []
        ours, start = [], 0
        while True:
            piece = self.line.ask(f"/magazine/list,{start}" if start else "/magazine/list")
            if not isinstance(piece, list) or not piece:
                break
            more = str(piece[-1]).startswith("... and ")
            ours += piece[:-1] if more else piece
            start = len(ours)
            if not more:
                break
        others = [name for name in ours if name not in set(mempools)]
        return list(dict.fromkeys(mempools + others)), set(ours), set(mempools)

    def _of_other_handler(self, name):
        info = self.line.ask(f"/mempool/info,{name}") or {}
        return {
            "name": name,
            "kind": "other",
            "objects": info.get("populated_size", info.get("size", 0)),
            "object_size": info.get("elt_size"),
            "mempool_cache": info.get("cache_size"),
        }

    def _rates(self, pool, now):
        then, before = self.before.get(pool["name"], (None, {}))
        self.before[pool["name"]] = (now, pool)
        # A pool of the same name that was made anew has smaller counters.
        if then is None or now <= then or any(pool[key] < before[key] for key in ("puts", "gets")):
            return {}
        return {key: max(pool[key] - before[key], 0) / (now - then) for key in COUNTERS}

    def _of_magazine(self, name, kind):
        pool = self.line.ask(f"/magazine/info,{name}")
        if not isinstance(pool, dict) or "error" in pool:
            return None
        pool["kind"] = kind
        pool["rates"] = self._rates(pool, time.monotonic())
        pool["origins"] = origins(pool["rates"])
        self._read_events(pool)
        return pool

    def _read_events(self, pool):
        name = pool["name"]
        known = self.next_event.get(name, 0)
        if pool["events"] < known:
            known = 0
        if pool["events"] > known:
            first = max(known, pool["events"] - EVENTS_KEPT)
            for event in self.line.table(
                f"/magazine/events,{name},{first}" if first else f"/magazine/events,{name}"
            ):
                self.events.append({"pool": name, **event})
        self.next_event[name] = pool["events"]

    def look(self):
        """All pools now; raises telemetry.Lost."""
        self.connect()
        try:
            names, ours, mempools = self.names()
            pools = []
            for name in names:
                if name in ours:
                    pool = self._of_magazine(name, "magazine" if name in mempools else "library")
                else:
                    pool = self._of_other_handler(name)
                if pool is not None:
                    pools.append(pool)
        except telemetry.Lost:
            self.drop()
            raise
        self.events.sort(key=lambda event: event["time_ms"])
        del self.events[:-EVENTS_KEPT]
        return pools

    def _slots(self, name):
        """With rates since the last look at them."""
        slots, now = self.line.table(f"/magazine/lcores,{name}"), time.monotonic()
        then, before = self.slots_before.get(name, (now, {}))
        for slot in slots:
            old = before.get((slot["slot"], slot["tid"]))
            for key, rate in (("allocs", "get_rate"), ("frees", "put_rate")):
                known = old is not None and now > then and slot[key] >= old[key]
                slot[rate] = (slot[key] - old[key]) / (now - then) if known else None
        self.slots_before[name] = (now, {(slot["slot"], slot["tid"]): slot for slot in slots})
        return slots

    def details(self, name):
        """Slots, depot and slabs of one pool; raises telemetry.Lost."""
        self.connect()
        try:
            return {
                "slots": self._slots(name),
                "nodes": self.line.table(f"/magazine/depot,{name}"),
                "slab_layer": self.line.ask(f"/magazine/slabs,{name}") or {},
            }
        except telemetry.Lost:
            self.drop()
            raise

    def advice(self, name):
        """What the process advises for a pool: a dictionary."""
        self.connect()
        return self.line.ask(f"/magazine/advise,{name}") or {"error": "no advice: too old a driver"}
