# SPDX-License-Identifier: BSD-3-Clause
"""What forward.sh shows: the live line, the tables of rates and pools, and the JSON file."""

import json
import statistics
import sys

from forward_options import OPS

CACHE_LINES = (
    ("objects", ("objects", "free", "in_lcores")),
    (
        "magazines",
        ("rounds", "depot_full", "depot_empty", "depot_contention", "resizes", "purges", "reaps"),
    ),
    ("slabs", ("slabs_partial", "slabs_full", "slab_allocs", "slab_frees", "slab_fails")),
    ("steals", ("steals", "steals_denied")),
)
CACHE_WORDS = {
    "objects": "in all",
    "in_lcores": "with lcores",
    "rounds": "size",
    "depot_full": "full in depot",
    "depot_empty": "empty in depot",
    "depot_contention": "contention",
    "slabs_partial": "partial",
    "slabs_full": "full",
    "slab_allocs": "allocations",
    "slab_frees": "frees",
    "slab_fails": "failures",
    "steals": "done",
    "steals_denied": "denied",
}


class Screen:
    """The live line: rewritten in place on a terminal, a line each time elsewhere."""

    def __init__(self):
        self.tty = sys.stdout.isatty()

    def live(self, text):
        if self.tty:
            sys.stdout.write("\r\033[K" + text)
            sys.stdout.flush()
        else:
            print(text, flush=True)

    def end(self):
        if self.tty:
            print(flush=True)


def millions(value):
    return f"{value / 1e6:.2f} M" if value >= 1e4 else f"{value:.0f}"


def ratio(value):
    return f"{value:.3f}" if value < 100 else f"{value:,.0f}"


def rate(record):
    """What counts as forwarded: what was sent, or received where the mode sends nothing."""
    return record["sent_pps"] or record["received_pps"]


def live_text(elapsed, total, records):
    parts = [f"{min(elapsed, total):4.0f}/{total} s"]
    for record in records:
        parts.append(f"{record['handler']} {millions(rate(record))} packets/s")
    mine = next(record for record in records if record["handler"] == OPS)
    parts.append(f"free {mine['free']:,} of {mine['mbufs']:,}")
    size = "/".join(str(rounds) for rounds in mine["magazine_size"])
    parts.append(f"magazine size {size or 'not told'}")
    return "   ".join(parts)


def summarise(rounds, against):
    result = {"handlers": {}}
    for column in zip(*rounds):
        rates = [rate(record) for record in column]
        result["handlers"][column[0]["handler"]] = {
            "packets_per_second": statistics.median(rates),
            "lowest": min(rates),
            "highest": max(rates),
            "sends": any(record["sent_pps"] for record in column),
        }
    if against:
        ratios = [rate(mine) / rate(other) for mine, other in rounds if rate(other)]
        if ratios:
            result["ratio"] = statistics.median(ratios)
            result["ratio_lowest"] = min(ratios)
            result["ratio_highest"] = max(ratios)
    return result


def print_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  " + "  ".join(cells).rstrip())


def print_rates(summary, options, count):
    handlers = summary["handlers"]
    sends = handlers[OPS]["sends"]
    print(
        f"\nPackets per second, {'sent' if sends else 'received'}; {count} "
        f"round{'s' * (count > 1)} of each"
    )
    print_table(
        [["", *handlers]]
        + [
            [label, *(millions(handler[key]) for handler in handlers.values())]
            for label, key in (
                ("median", "packets_per_second"),
                ("lowest", "lowest"),
                ("highest", "highest"),
            )
        ]
    )
    if "ratio" in summary:
        print(
            f"  magazine / {options.against}: {ratio(summary['ratio'])} (median of the rounds; "
            f"{ratio(summary['ratio_lowest'])} to {ratio(summary['ratio_highest'])})"
        )


def text(value):
    return f"{value:,}" if isinstance(value, int) else str(value)


def print_cache(cache):
    print(f"\nPool {cache['name']}")
    for label, keys in CACHE_LINES:
        told = [f"{CACHE_WORDS.get(key, key)} {text(cache[key])}" for key in keys if key in cache]
        if told:
            print(f"  {label:10} {', '.join(told)}")
    if cache["lcores"]:
        keys = list(cache["lcores"][0])
        print_table(
            [keys] + [[text(lcore.get(key, "")) for key in keys] for lcore in cache["lcores"]]
        )


def print_reach(counted):
    """What one lcore got, by handler and its options."""
    print_table(
        [["", *counted]]
        + [
            [words, *(f"{result[key]:,}" for result in counted.values())]
            for words, key in (
                ("got at first", "first"),
                ("got when all were free again", "again"),
                ("free, but out of its reach", "out_of_reach"),
            )
        ]
    )


def write_json(options, figures):
    told = {
        key: value for key, value in vars(options).items() if key not in ("plan", "json", "more")
    }
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump({"options": told, **figures}, file, indent=2)
        file.write("\n")
