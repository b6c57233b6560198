# SPDX-License-Identifier: BSD-3-Clause
"""gdb commands for pools of magazine, in a live process or a core file.

    (gdb) source magazine-gdb.py
    (gdb) print-cache             all pools and caches
    (gdb) print-cache NAME        one: where its objects are, its slots
    (gdb) print-depot NAME        working sets, and the magazines of the depot
    (gdb) whose ADDRESS           which pool an address is of, and where that object is

Needs the debugging symbols of libmagazine, and nothing of the process: no function of it is called.
doc/debugging.md has a walk through a leak, a double free and a core.
"""

import gdb

PART_LAST = 64  # more parts than any region has
PLACE = {0: "free in its slab", 1: "out of its slab", 2: "with a user"}


def integer(value):
    """Of a counter, whatever its qualifiers."""
    return int(value.cast(gdb.lookup_type("unsigned long")))


def signed(value):
    return int(value.cast(gdb.lookup_type("int")))


def pointers(address, count):
    """Pointers that lie one after the other."""
    word = gdb.lookup_type("unsigned long")
    first = gdb.Value(address).cast(word.pointer())
    return [int(first[i]) for i in range(count)]


def chain(head, link):
    """Elements of a TAILQ."""
    element = head["tqh_first"]
    while int(element) != 0:
        yield element
        element = element[link]["tqe_next"]


def caches():
    """All that this process made."""
    listed = gdb.parse_and_eval("'registry.c'::list")["caches"]
    return [listing["cache"].dereference() for listing in chain(listed, "link")]


def cache_named(text):
    """By name; refuses with the names that there are."""
    for cache in caches():
        if cache["name"].string() == text:
            return cache
    names = ", ".join(cache["name"].string() for cache in caches())
    raise gdb.GdbError(f'"{text}": no such pool: there are: {names or "none"}')


def homes(cache):
    """What the cache has on each node."""
    table = cache["homes"]
    if integer(table) == 0:
        return [cache["first"]]
    # The type may be written as _Atomic, which gdb does not follow.
    table = gdb.Value(integer(table)).cast(gdb.lookup_type("struct mag_homes").pointer())
    return [table["home"][i].dereference() for i in range(int(table["count"]))]


def slots(home):
    """Number and slot of those that hold something, or ever did."""
    low, high = home["slot"].type.range()
    for number in range(low, high + 1):
        slot = home["slot"][number]
        if int(slot["loaded"]) or int(slot["previous"]) or int(slot["allocs"]):
            yield number, slot


def rounds_at(magazine, count):
    """The objects of a magazine."""
    header = gdb.lookup_type("struct mag_magazine").sizeof
    return pointers(int(magazine) + header, count)


def depot_list(home, name):
    """Total, fewest lately, takes, and the magazines of a list."""
    which = home["depot"][name]
    low, high = integer(which["head"]["lo"]), integer(which["head"]["hi"])
    index, total = low & 0xFFFFFFFF, (low >> 32) & 0xFFFFFF
    least, taken = (low >> 56) | ((high & 0xFFFF) << 8), high >> 16
    chunk, found = home["arena"]["chunk"], []
    kind = gdb.lookup_type("struct mag_magazine").pointer()
    while index != 0 and len(found) < total:
        # As mag_arena_magazine().
        base = int(chunk[index >> 11])
        magazine = gdb.Value(base + ((index & 0x7FF) - 32) * 128).cast(kind)
        found.append(magazine)
        index = int(magazine["next"])
    return total, least, taken, found


def owner(number):
    """Who owns a slot."""
    claims = gdb.parse_and_eval("'thread.c'::claims")
    if int(claims) == 0 or number > claims["slot"].type.range()[1]:
        return "shared"
    claim = claims["slot"][number]
    who, lcore = integer(claim["owner"]), integer(claim["lcore"])
    if who == 0:
        return "no owner"
    where = f"lcore {lcore - 1}" if lcore else "no lcore"
    return f"{where}, pid {signed(claim['pid'])}, thread {who & 0xFFFFFFFF}"


class Places:
    """How many objects are where."""

    def __init__(self, cache):
        self.total = integer(cache["region"]["objects"])
        self.slots = self.depot = self.slabs = 0
        for part, home in enumerate(homes(cache)):
            self.slots += sum(
                int(slot["rounds"]) + int(slot["previous_rounds"]) for _, slot in slots(home)
            )
            self.depot += sum(int(magazine["rounds"]) for magazine in depot_list(home, "full")[3])
            layer = home["slab"]
            self.slabs += integer(layer["in_use"]) - integer(layer["out"])
            self.slabs += integer(cache["region"]["part"][part]["objects_free"])
        self.out = self.total - self.slots - self.depot - self.slabs

    def __str__(self):
        out = f"{self.out} out (caches of rte_mempool too)"
        if self.out < 0:
            out = f"{-self.out} more than there are, which some freed twice must be"
        return (
            f"{self.total} objects: {out}, "
            f"{self.slots} in slots, {self.depot} in depots, {self.slabs} in slabs"
        )


def mempool_of(cache, address):
    """The mempool whose object this is, by the header before it; None: it cannot be told."""
    if not int(cache["flags"]) & 0x100:
        return None
    try:
        kind = gdb.lookup_type("struct rte_mempool_objhdr")
        header = gdb.Value(address - kind.sizeof).cast(kind.pointer())
        pool = header["mp"].dereference()
        return pool if int(pool["pool_data"]) == int(cache.address) else None
    except gdb.error:
        return None


def in_magazines(home, address):
    """Slots and magazines of the depot that have an object."""
    for number, slot in slots(home):
        for name, count in (("loaded", "rounds"), ("previous", "previous_rounds")):
            if int(slot[name]):
                times = rounds_at(slot[name], int(slot[count])).count(address)
                where = f"free: in the {name} magazine of slot {number} ({owner(number)})"
                yield from [where] * times
    for magazine in depot_list(home, "full")[3]:
        times = rounds_at(magazine, int(magazine["rounds"])).count(address)
        yield from [f"free: in the full magazine {magazine} of the depot"] * times


def in_mempool_caches(pool, address):
    """Caches of rte_mempool that have an object."""
    if pool is None or int(pool["cache_size"]) == 0:
        return
    # RTE_MAX_LCORE is not in the debugging symbols; slots of lcores are as many.
    for lcore in range(128):
        cache = pool["local_cache"][lcore]
        objects = [int(cache["objs"][i]) for i in range(int(cache["len"]))]
        where = f"free: in rte_mempool's cache of lcore {lcore}"
        yield from [where] * objects.count(address)


def segment_at(home, stride, address):
    """Segment of a slab with an address, and the index and address of the object in it."""
    table = home["slab"]["table"]
    granule = address >> int(table["shift"])
    # A segment is entered where its objects begin: the last one may reach into the next granule.
    for bucket in (granule, granule - 1):
        entry = table["bucket"][bucket & (integer(table["size"]) - 1)]
        while int(entry) != 0:
            segment = entry["segment"].dereference()
            # 0: it has one object.
            apart = int(segment["stride"]) or stride
            index, base = (address - int(segment["base"])) // apart, int(segment["base"])
            if 0 <= index < int(segment["count"]):
                return segment, index, base + index * apart
            entry = entry["next"]
    return None, 0, 0


def locate(cache, home, address):
    """Lines about an address, none if it is of no slab of the home."""
    stride = int(cache["region"]["stride"])
    segment, index, first = segment_at(home, stride, address)
    if segment is None:
        return
    slab = segment["control"].cast(gdb.lookup_type("struct mag_slab").pointer())
    state = int(slab["bufctl"][index]["state"])
    yield f"{address:#x}: pool \"{cache['name'].string()}\", object {first:#x} + {address - first}"
    yield f"object {index} of {int(segment['count'])} of slab {slab}: {PLACE.get(state, state)}"
    if state == 0:
        return
    pool = mempool_of(cache, first)
    found = list(in_magazines(home, first)) + list(in_mempool_caches(pool, first))
    yield from found or ["with a user, or on its way: in no magazine and no cache"]
    if len(found) > 1:
        yield "it is free in more than one place: freed twice"


class PrintCache(gdb.Command):
    """print-cache [NAME]: all pools and caches, or where the objects of one are, and its slots."""

    def __init__(self):
        super().__init__("print-cache", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        if not argument:
            for cache in caches():
                print(f"{cache['name'].string()} ({cache.address}): {Places(cache)}")
            return
        cache = cache_named(argument)
        print(f"{argument} ({cache.address}): {Places(cache)}")
        common = cache["common"]
        print(
            f"magazines of {integer(common['type'])}, {integer(cache['resizes'])} resizes, "
            f"{integer(cache['purges'])} purges, {integer(cache['reaps'])} reaps, "
            f"{integer(common['failed_gets'])} failed gets"
        )
        for home in homes(cache):
            print(f"node {int(home['node'])}:")
            for number, slot in slots(home):
                busy = ", inside" if int(slot["busy"]) else ""
                print(
                    f"  slot {number} ({owner(number)}): {int(slot['rounds'])} in loaded, "
                    f"{int(slot['previous_rounds'])} in previous, {int(slot['allocs'])} got{busy}"
                )


class PrintDepot(gdb.Command):
    """print-depot NAME: working sets and magazines of the depot of a pool, node by node."""

    def __init__(self):
        super().__init__("print-depot", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        for home in homes(cache_named(argument)):
            for name in ("full", "empty"):
                total, least, taken, magazines = depot_list(home, name)
                print(
                    f"node {int(home['node'])}, {name}: {total} magazines, {least} at the least "
                    f"since the last update, {taken} takes"
                )
                for magazine in magazines[:16]:
                    print(f"  {magazine} of {int(magazine['rounds'])}")
                if len(magazines) > 16:
                    print(f"  and {len(magazines) - 16} more")


class Whose(gdb.Command):
    """whose ADDRESS: the pool that an address is of, and where that object is."""

    def __init__(self):
        super().__init__("whose", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        if not argument:
            raise gdb.GdbError("whose: no address: give an expression, as whose mbuf->buf_addr")
        address = int(gdb.parse_and_eval(argument).cast(gdb.lookup_type("unsigned long")))
        for cache in caches():
            for home in homes(cache):
                lines = list(locate(cache, home, address))
                if lines:
                    print("\n".join(lines))
                    return
        print(
            f"{address:#x}: of no slab of any pool: not of magazine, in a gap, or of a segment "
            "that is free as a whole"
        )


PrintCache()
PrintDepot()
Whose()
