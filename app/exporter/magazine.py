# SPDX-License-Identifier: BSD-3-Clause
"""An endpoint of DPDK's dpdk-telemetry-exporter.py: the pools of magazine for Prometheus.

The exporter finds it in share/dpdk/telemetry-endpoints, or by --load-path.
"""

PLACES = ("out", "lcores", "depot", "slabs", "caches")
# By metric: name in /magazine/info, description, type.
METRICS = {
    "pool_objects": ("objects", "Objects of the pool.", "gauge"),
    "magazine_rounds": ("rounds", "Objects that a magazine holds; 0: none.", "gauge"),
    "depot_full": ("magazines_full", "Full magazines in the depot.", "gauge"),
    "depot_empty": ("magazines_empty", "Empty magazines in the depot.", "gauge"),
    "gets_total": ("gets", "Objects handed out.", "counter"),
    "puts_total": ("puts", "Objects taken back.", "counter"),
    "lcores_in_total": ("lcores_in", "Objects that came to lcores from the rest.", "counter"),
    "slab_gets_total": ("slab_allocs", "Objects that came from slabs.", "counter"),
    "failed_gets_total": ("failed_gets", "Gets that failed.", "counter"),
    "contention_total": ("contention", "Takes from the depot that met another.", "counter"),
    "steals_total": ("steals", "Sweeps over other lcores' magazines.", "counter"),
    "steals_denied_total": ("steals_denied", "Steals that were denied.", "counter"),
    "resizes_total": ("resizes", "Changes of the magazine size.", "counter"),
    "purges_total": ("purges", "Times all magazines were given back.", "counter"),
    "reaps_total": ("reaps", "Times the depot gave magazines back.", "counter"),
}


def info():
    """By metric: description and type."""
    told = {name: (text, kind) for name, (_, text, kind) in METRICS.items()}
    told["objects"] = ("Objects of the pool by the place where they are.", "gauge")
    return told


def names(sock):
    """Of all caches, in as many pieces as there are."""
    found = []
    while True:
        piece = sock.cmd("/magazine/list", len(found) or None)
        if not isinstance(piece, list) or not piece:
            return found
        if not str(piece[-1]).startswith("... and "):
            return found + piece
        found += piece[:-1]


def metrics(sock):
    """(metric, value, labels), all of a metric together."""
    pools = [sock.cmd("/magazine/info", name) for name in dict.fromkeys(names(sock))]
    # A pool may have been freed since the list was made.
    pools = [pool for pool in pools if isinstance(pool, dict) and "error" not in pool]
    told = [
        ("objects", pool[place], {"pool": pool["name"], "place": place})
        for pool in pools
        for place in PLACES
    ]
    for metric, (key, _, _) in METRICS.items():
        told += [(metric, pool[key], {"pool": pool["name"]}) for pool in pools]
    return told
