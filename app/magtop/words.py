# SPDX-License-Identifier: BSD-3-Clause
"""Figures as text: the columns of a pool, bars, events."""

import time

# A letter each, for terminals without colours.
LETTERS = {"out": "o", "lcores": "l", "depot": "d", "slabs": "s", "caches": "c"}
NAME_WIDTH = 20


def number(value):
    """At most 5 characters: 999, 1.2k, 34.5M; - for what is not known."""
    if value is None:
        return "-"
    if value < 1000:
        return f"{value:.0f}"
    for unit in ("k", "M", "G", "T"):
        value /= 1000
        if value < 999.5:
            return f"{value:.1f}{unit}" if value < 99.95 else f"{value:.0f}{unit}"
    return f"{value:.0f}T"


def percent(value):
    """A share, or - of nothing."""
    return "-" if value is None else f"{value:.0f}"


def clip(text, width):
    """The text, with a + at its end where it had to be cut."""
    text = "".join(c if c.isprintable() else "?" for c in str(text))
    return text if len(text) <= width else text[: width - 1] + "+"


def _out(pool):
    return None if pool["kind"] == "other" else 100 * pool["out"] / max(pool["objects"], 1)


def _rate(name):
    return lambda pool: pool.get("rates", {}).get(name)


def _origin(name):
    return lambda pool: pool.get("origins", {}).get(name)


def _get(name):
    return lambda pool: pool.get(name)


# Heading, width, value of a pool, how it is written, and the key by which magtop sorts.
COLUMNS = (
    ("SIZE", 6, _get("objects"), number, "s"),
    ("OUT%", 5, _out, percent, "o"),
    ("GET/s", 6, _rate("gets"), number, "g"),
    ("PUT/s", 6, _rate("puts"), number, "p"),
    ("LCOR%", 6, _origin("lcore"), percent, None),
    ("DEPO%", 6, _origin("depot"), percent, None),
    ("SLAB%", 6, _origin("slab"), percent, None),
    ("MAG", 4, _get("rounds"), number, None),
    ("FULL", 5, _get("magazines_full"), number, None),
    ("EMPTY", 6, _get("magazines_empty"), number, None),
    ("FAILED", 7, _get("failed_gets"), number, "f"),
)
SORTS = {"n": "name", **{key: heading for heading, _, _, _, key in COLUMNS if key}}


def sort(pools, key, reverse=False):
    """Largest first, names in their order; what is not known last."""
    if key == "n":
        return sorted(pools, key=lambda pool: pool["name"], reverse=reverse)
    value = next(column[2] for column in COLUMNS if column[4] == key)

    def rank(pool):
        figure = value(pool)
        if figure is None:
            return (1, 0, pool["name"])
        return (0, figure if reverse else -figure, pool["name"])

    return sorted(pools, key=rank)


def heading():
    """Above the pools."""
    return f"{'POOL':{NAME_WIDTH}}" + "".join(f"{name:>{width}}" for name, width, *_ in COLUMNS)


def row(pool):
    """One pool; of other handlers what is known."""
    text = f"{clip(pool['name'], NAME_WIDTH - 1):{NAME_WIDTH}}"
    return text + "".join(f"{form(value(pool)):>{width}}" for _, width, value, form, _ in COLUMNS)


def bar(pool, places, width):
    """(place, cells) of a bar as wide as said: places with objects have at least one cell."""
    total = pool["objects"]
    if pool["kind"] == "other" or total <= 0 or width < len(places):
        return []
    cells = {place: int(width * pool[place] / total) for place in places}
    for place in places:
        if pool[place] > 0 and cells[place] == 0:
            cells[place] = 1
    largest = max(places, key=lambda place: cells[place])
    cells[largest] += width - sum(cells.values())
    return [(place, cells[place]) for place in places if cells[place] > 0]


def bar_text(pool, places, width):
    """The same in letters."""
    return "".join(LETTERS[place] * cells for place, cells in bar(pool, places, width))


def event(happened):
    """One event on a line."""
    when = time.strftime("%H:%M:%S", time.localtime(happened["time_ms"] / 1000))
    kind, value = happened["event"], happened["value"]
    said = {
        "resize": f"magazines of {happened['before']} are now of {value}",
        "purge": f"all magazines were given back (purge {value})",
        "reap": f"the depot gave back magazines (reap {value})",
        "steal": f"objects were taken out of other lcores' magazines ({value} so far)",
        "denied": f"a steal was denied ({value} so far)",
        "failed": f"a get failed ({value} so far)",
        "recovery": f"{value} slots of a dead process are whole again",
    }.get(kind, f"{kind} {value}")
    return f"{when} {clip(happened['pool'], NAME_WIDTH - 1)}: {said}"


def lcore_heading():
    """Above the slots of a pool."""
    return (
        f"{'SLOT':>5}{'LCORE':>6}{'PID':>8}{'TID':>8} {'THREAD':16}{'GET/s':>7}{'PUT/s':>7}"
        f"{'GETS':>8}{'PUTS':>8}"
        f"{'LOADED':>7}{'PREV':>6}{'EXCH':>8}"
    )


def lcore_row(slot):
    """One slot of a pool."""

    def known(value):
        return "-" if value is None or value < 0 else value

    return (
        f"{known(slot.get('slot')):>5}{known(slot['lcore']):>6}{known(slot.get('pid')):>8}"
        f"{known(slot.get('tid')):>8} {clip(slot.get('thread') or '-', 16):16}"
        f"{number(slot.get('get_rate')):>7}{number(slot.get('put_rate')):>7}"
        f"{number(slot['allocs']):>8}{number(slot['frees']):>8}{slot['loaded']:>7}"
        f"{slot['previous']:>6}{number(slot['exchanges']):>8}"
    )


def depot_lines(details):
    """Depot by node and slabs of a pool."""
    for node in details["nodes"]:
        where = "any node" if node["node"] < 0 else f"node {node['node']}"
        yield (
            f"depot of {where}: {node['full']} full ({node['full_min']} not needed lately), "
            f"{node['empty']} empty ({node['empty_min']}), contention {node['contention']}"
        )
    slabs = details["slab_layer"]
    if "full" in slabs:
        tenths = " ".join(str(n) for n in slabs["partial_by_tenths_free"])
        yield (
            f"slabs of {slabs['slab_objects']}: {slabs['full']} full, {slabs['partial']} partial; "
            f"by tenths free: {tenths}"
        )
