# SPDX-License-Identifier: BSD-3-Clause
"""Lcores that run what was recorded of them over and over, at the same time, on a machine whose
caches are simulated.

Cores execute a fixed number of instructions in a time. A load goes on while others are under way,
unless its address comes from one of them; stores wait in a buffer and become visible in order; a
locked instruction waits for all before it. A line is with one core that may write it, or with some
that may read it, and moves from one to the other in the machine's time, one move of a line after
the other.

What depends on the order in which lcores come is decided anew, not as in the recording: a
compare-and-exchange fails if its words were written after the core had read them, and is tried
again from there; a lock is waited for; a ring's tail is stored in the order of the heads. Those who
wait read the word each time that it was written.
"""

import heapq

from recorded import ADD, COMPARE, LOAD, LOCK, PREFETCH, PREFETCH_WRITE, STORE, TAIL, UNLOCK

TURNS = 64  # of all lcores, at least
WARM_UP = 0.25  # of the turns that are counted, before them
STEPS = 1_000_000  # of all lcores, at most: some seconds, after which the time is known well enough


class Line:
    """Who has it. A core that has to give it away still has it for half of the transfer: it takes
    so long until the other's request is there."""

    __slots__ = ("owner", "readers", "busy", "giver", "given")

    def __init__(self):
        self.owner = None
        self.readers = set()
        self.busy = 0.0
        self.giver = None
        self.given = 0.0

    def is_with(self, core, time):
        """May this core write it?"""
        return self.owner == core or (self.giver == core and time < self.given)


class Core:
    """Where it is in its sequence, and what it waits for."""

    __slots__ = (
        "number turns turn at time executed loads stores fills filled ended seen committed tickets "
        "taken"
    ).split()

    def __init__(self, number, turns):
        self.number, self.turns = number, turns
        self.turn = 0  # it is in
        self.time = 0.0
        self.loads = []  # (instruction, end) of those under way
        self.stores = []  # ends
        self.fills = []
        self.filled = {}  # line: when it comes
        self.committed = 0.0  # the last store
        self.tickets = {}
        self.begin_turn()

    def begin_turn(self):
        self.ended = {}  # access: when
        self.seen = {}  # word: when it was read, and by which access
        self.executed = 0  # instructions of the turn, up to that time
        self.at = 0  # access that is next
        self.taken = False  # the line of a locked instruction, which is executed next
        self.loads.clear()


class Simulation:
    """One peer on one machine; work: ns between two turns."""

    def __init__(self, peer, machine, work=0.0):
        self.peer, self.machine, self.work = peer, machine, work
        self.lines = {}
        self.written = {}  # word: when, and by whom
        self.waiting = {}  # word: cores
        self.held = set()  # locks
        self.tail, self.ticket = {}, {}  # head: next to be stored, next to be given
        self.cores = [Core(number, turns) for number, turns in enumerate(peer.turns)]
        self.events = [(0.0, core.number) for core in self.cores]
        self.done = 0  # turns

    # Lines

    def _line(self, access):
        line = self.lines.get(access.line)
        if line is None:
            line = self.lines[access.line] = Line()
        return line

    def _fill(self, core, time, access, line, cost):
        """When the line is there, and when others lose it; so many are under way at most."""
        core.fills = [end for end in core.fills if end > time]
        if len(core.fills) >= self.machine.fills:
            time = sorted(core.fills)[-self.machine.fills]
        end = max(time, line.busy) + cost
        core.fills.append(end)
        core.filled[access.line] = end
        return end, end - cost / 2

    def _read(self, core, time, access):
        """When the line is there, and of when what it has is."""
        line, me = self._line(access), core.number
        nobody = line.owner is None and not line.readers
        if nobody or me in line.readers or line.is_with(me, time):
            if nobody:
                line.readers.add(me)
            there = max(time, core.filled.get(access.line, 0.0))
            return there, there
        sources = (line.owner,) if line.owner is not None else line.readers
        cost = min(self.machine.transfer(me, source) for source in sources)
        end, left = self._fill(core, time, access, line, cost)
        if line.owner is not None:
            line.busy = end
            line.giver, line.given = line.owner, left
            line.readers = {line.owner}
            line.owner = None
        line.readers.add(me)
        return end, left

    def _write(self, core, time, access):
        """When the line is this core's alone."""
        line, me = self._line(access), core.number
        if line.is_with(me, time):
            return max(time, core.filled.get(access.line, 0.0))
        others = line.readers - {me}
        if line.owner is not None:
            others.add(line.owner)
        if others:
            cost = max(self.machine.transfer(me, other) for other in others)
            line.busy, left = self._fill(core, time, access, line, cost)
            line.giver, line.given = line.owner, left
            time = line.busy
        line.readers = set()
        line.owner = me
        return max(time, core.filled.get(access.line, 0.0))

    def _note_written(self, core, access, time):
        for word in access.words:
            self.written[word] = (time, core.number)

    # Waiting

    def _wait(self, core, word):
        self.waiting.setdefault(word, []).append(core)
        return False

    def _wake(self, word, time):
        for core in self.waiting.pop(word, ()):
            core.time = max(core.time, time)
            heapq.heappush(self.events, (core.time, core.number))

    # Accesses; each returns False if the core has to come again

    def _again(self, core):
        heapq.heappush(self.events, (core.time, core.number))
        return False

    def _load(self, core, access, time):
        end, seen = self._read(core, time, access)
        for word in access.words:
            core.seen[word] = (seen, core.at)
        core.ended[core.at] = end
        if end > core.time:
            core.loads.append((access.instructions, end))
        return True

    def _store(self, core, access, time):
        core.committed = max(core.committed, self._write(core, time, access))
        core.stores = [end for end in core.stores if end > core.time]
        if len(core.stores) >= self.machine.stores:
            core.time = min(core.stores)
        core.stores.append(core.committed)
        self._note_written(core, access, core.committed)
        return True

    def _has_line(self, core, access):
        """For a locked instruction: all before it is done, and the line is there. Otherwise the
        core comes again at that time."""
        if core.taken:
            core.taken = False
            core.time += self.machine.locked
            core.ended[core.at] = core.time
            return True
        now = core.time
        core.time = max([now, core.committed, *(end for _, end in core.loads)])
        core.loads.clear()
        core.stores.clear()
        if core.time == now:
            core.time = self._write(core, now, access)
            core.taken = True
        return self._again(core)

    def _add(self, core, access, _):
        if not self._has_line(core, access):
            return False
        self._note_written(core, access, core.time)
        return True

    def _compare(self, core, access, _):
        if not self._has_line(core, access):
            return False
        back = None
        for word in access.words:
            seen, at = core.seen.get(word, (core.time, core.at))
            time, writer = self.written.get(word, (0.0, core.number))
            if time > seen and writer != core.number:
                back = at if back is None else min(at, back)
        if back is None:
            head = access.words[0]
            core.tickets[head] = self.ticket.get(head, 0)
            self.ticket[head] = core.tickets[head] + 1
            self._note_written(core, access, core.time)
            return True
        # Not what was read: back to there. Other instructions are executed again.
        core.at = back
        core.executed = core.turns[core.turn].accesses[back].instructions
        return self._again(core)

    def _lock(self, core, access, time):
        if not core.taken and access.word in self.held:
            self._read(core, time, access)
            return self._wait(core, access.word)
        if not self._has_line(core, access):
            return False
        if access.word in self.held:
            return self._wait(core, access.word)
        self.held.add(access.word)
        return True

    def _unlock(self, core, access, time):
        self._store(core, access, time)
        self.held.discard(access.word)
        self._wake(access.word, core.committed)
        return True

    def _tail(self, core, access, time):
        head = access.word
        if core.tickets.get(head, 0) != self.tail.get(head, 0):
            self._read(core, time, access)
            return self._wait(core, head)
        self._store(core, access, time)
        self.tail[head] = self.tail.get(head, 0) + 1
        self._wake(head, core.committed)
        return True

    def _prefetch(self, core, access, time):
        self._read(core, time, access)
        return True

    def _prefetch_write(self, core, access, time):
        self._write(core, time, access)
        return True

    ACTIONS = {
        LOAD: _load,
        STORE: _store,
        LOCK: _lock,
        UNLOCK: _unlock,
        TAIL: _tail,
        ADD: _add,
        COMPARE: _compare,
        PREFETCH: _prefetch,
        PREFETCH_WRITE: _prefetch_write,
    }

    # Cores

    def _execute(self, core, instructions):
        """Up to so many of the turn. None is further ahead of a load than the window."""
        core.time += max(instructions - core.executed, 0) * self.machine.instruction
        core.executed = instructions
        left = []
        for number, end in core.loads:
            if number < instructions - self.machine.window:
                core.time = max(core.time, end)
            elif end > core.time:
                left.append((number, end))
        core.loads = left

    def _step(self, core):
        """One access, or the end of a turn."""
        turn = core.turns[core.turn]
        if core.at == len(turn.accesses):
            self._execute(core, turn.instructions)
            # Loads of a turn that are still under way: the next one is after them.
            for _, end in core.loads:
                core.time = max(core.time, end - self.machine.window * self.machine.instruction)
            core.time += self.work
            core.turn = (core.turn + 1) % len(core.turns)
            core.begin_turn()
            self.done += 1
            return True
        access, now = turn.accesses[core.at], core.time
        self._execute(core, access.instructions)
        if core.time > now:
            return self._again(core)  # others come first
        time = max(core.time, core.ended.get(access.after, 0.0))
        if not self.ACTIONS[access.kind](self, core, access, time):
            return False
        core.at += 1
        return True

    def run(self):
        """ns that one lcore takes for the get and the put of one object, without work."""
        turns = max(sum(len(core.turns) for core in self.cores), TURNS)
        warm = int(WARM_UP * turns)
        begin, before = self._run_to(warm, int(WARM_UP * STEPS)), self.done
        end = self._run_to(warm + turns, STEPS)
        turn = (end - begin) * self.peer.lcores / max(self.done - before, 1) - self.work
        return 2 * turn / self.peer.bulk

    def _run_to(self, turns, steps):
        """Until so many are done, or that takes too long: when that is."""
        core = self.cores[0]
        for _ in range(steps):
            if self.done >= turns:
                break
            core = self.cores[heapq.heappop(self.events)[1]]
            if self._step(core):
                heapq.heappush(self.events, (core.time, core.number))
        return core.time


def nanoseconds(peer, machine, work=0.0):
    """ns that one lcore takes for the get and the put of one object, without the work: ns that it
    does something else with each."""
    return Simulation(peer, machine, work * peer.bulk / 2).run()
