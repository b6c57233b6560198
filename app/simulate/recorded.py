# SPDX-License-Identifier: BSD-3-Clause
"""What the program record printed: the accesses of each lcore to lines that several lcores share
and some write, and its locked instructions. All other lines are in each lcore's own cache.
"""

import collections
import typing

LINE = 64
WORD = 4
WRITES = set("suaxc")
LOCKED = set("axc")

LOAD, STORE, LOCK, UNLOCK, TAIL, ADD, COMPARE, PREFETCH, PREFETCH_WRITE = range(9)
KINDS = {
    "l": LOAD,
    "s": STORE,
    "u": STORE,
    "a": ADD,
    "x": ADD,
    "c": COMPARE,
    "p": PREFETCH,
    "w": PREFETCH_WRITE,
}


class Access(typing.NamedTuple):
    """One access to one line."""

    kind: int
    line: int
    words: tuple  # numbers of the words that it covers
    instructions: int  # executed since the turn began
    after: int  # access of this turn whose value its address was made of, -1: none
    word: int = 0  # of a lock or tail: which; of a tail, its head


class Turn(typing.NamedTuple):
    """A get or a put of one bulk."""

    instructions: int
    accesses: list


class Peer(typing.NamedTuple):
    """A handler under a mempool cache."""

    name: str
    lcores: int
    bulk: int
    turns: list  # of each lcore, its turns


class Raw(typing.NamedTuple):
    """A line of the file."""

    kind: str
    address: int
    size: int
    instructions: int
    after: int

    def lines(self):
        return range(self.address // LINE, (self.address + self.size - 1) // LINE + 1)

    def words(self):
        return range(self.address // WORD, (self.address + self.size - 1) // WORD + 1)


def _read(lines):
    """Peers as they are in the file: name, lcores, bulk and a list of (lcore, instructions, raw
    accesses)."""
    peers = []
    for line in lines:
        words = line.split()
        if words[0] == "peer":
            peers.append((words[1], int(words[2]), int(words[3]), []))
        elif words[0] == "turn":
            peers[-1][3].append((int(words[1]), int(words[3]), []))
        else:
            kind, address, size, instructions, after = words
            raw = Raw(kind, int(address, 16), int(size), int(instructions), int(after) - 1)
            peers[-1][3][-1][2].append(raw)
    return peers


def _contended(turns):
    """Lines that several lcores have a part in, and that are written."""
    users, written = collections.defaultdict(set), set()
    for lcore, _, accesses in turns:
        for raw in accesses:
            for line in raw.lines():
                users[line].add(lcore)
                if raw.kind in WRITES:
                    written.add(line)
    return {line for line in written if len(users[line]) > 1}


def _roles(accesses):
    """Which accesses take or leave a lock, or publish what a ring's head has reserved.

    A lock is a word that is taken by a locked instruction and stored to later in the same turn. Of
    a ring head and tail are neighbours: the tail is stored after a compare-and-exchange of the
    head, and in the order of these.
    """
    roles, taken, heads = {}, {}, set()
    for at, raw in enumerate(accesses):
        word = raw.address // WORD
        if raw.kind in ("x", "s") and word in taken:
            roles[taken.pop(word)] = (LOCK, word)
            roles[at] = (UNLOCK, word)
        elif raw.kind == "s" and word - 1 in heads:
            roles[at] = (TAIL, word - 1)
            heads.remove(word - 1)
        elif raw.kind in ("x", "c"):
            taken[word] = at
            if raw.kind == "c":
                heads.add(word)
    return roles


def _turn(instructions, raws, contended):
    accesses, place, roles = [], {}, _roles(raws)
    for at, raw in enumerate(raws):
        for line in raw.lines():
            if line not in contended and raw.kind not in LOCKED and at not in roles:
                continue
            kind, word = roles.get(at, (KINDS[raw.kind], 0))
            words = tuple(w for w in raw.words() if w * WORD // LINE == line)
            after = place.get(raw.after, -1)
            place[at] = len(accesses)
            accesses.append(Access(kind, line, words, raw.instructions, after, word))
    return Turn(instructions, accesses)


def parse(lines):
    """The peers of a file, or of any lines."""
    peers = []
    for name, lcores, bulk, turns in _read(lines):
        contended = _contended(turns)
        of = [[] for _ in range(lcores)]
        for lcore, instructions, raws in turns:
            of[lcore].append(_turn(instructions, raws, contended))
        peers.append(Peer(name, lcores, bulk, of))
    return peers
