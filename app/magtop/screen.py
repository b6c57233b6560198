# SPDX-License-Identifier: BSD-3-Clause
"""magtop on a terminal: draws what words.py writes, and reads keys."""

import curses
import time

import telemetry
import words
from pools import PLACES

COLOURS = {"out": 1, "lcores": 2, "depot": 3, "slabs": 4, "caches": 5}
EVENT_LINES = 6
INTERVALS = (0.2, 0.5, 1, 2, 5, 10)
HELP = (
    "up, down     choose a pool              Enter    its lcores, depot, slabs, events",
    "n s o g p f  sort by name, size, out, gets, puts, failed        r        reverse",
    "+ -          slower, faster             space    stop and go on",
    "h            this help                  q, Esc   back, or quit",
    "",
    "OUT%   objects that are with users     MAG    objects of a magazine, now",
    "LCOR% DEPO% SLAB%   where the objects that were got came from: magazines of the same",
    "                    lcore, whole magazines of the depot, slabs",
    "FULL EMPTY   magazines in the depot    FAILED  gets that failed, ever",
    "bar: o out  l lcores' magazines  d depot  s slabs  c rte_mempool's caches",
    "Pools of other handlers have only what /mempool/info tells.",
)


class Screen:
    """All that is drawn, and what the keys have chosen."""

    def __init__(self, window, process, interval, sort):
        self.window = window
        self.process = process
        self.interval = interval
        self.pools, self.details = [], None
        self.lost = None
        self.chosen = None  # name of a pool
        self.sort, self.reverse = sort, False
        self.inside = self.help = self.stopped = False
        curses.curs_set(0)
        if curses.has_colors():
            curses.start_color()
            curses.use_default_colors()
            for colour, background in enumerate(
                (
                    curses.COLOR_RED,
                    curses.COLOR_CYAN,
                    curses.COLOR_BLUE,
                    curses.COLOR_GREEN,
                    curses.COLOR_MAGENTA,
                ),
                1,
            ):
                curses.init_pair(colour, curses.COLOR_WHITE, background)

    def put(self, line, column, text, attribute=0):
        """As much of a text as the terminal has room for."""
        height, width = self.window.getmaxyx()
        # The last cell of the last line cannot be written.
        room = width - column - (1 if line == height - 1 else 0)
        if 0 <= line < height and room > 0:
            self.window.addnstr(line, column, text, room, attribute)

    def look(self):
        """Ask the process."""
        try:
            self.pools = words.sort(self.process.look(), self.sort, self.reverse)
            names = [pool["name"] for pool in self.pools]
            if self.chosen not in names:
                self.chosen, self.inside = (names[0] if names else None), False
            pool = self.pool()
            inside = self.inside and pool is not None and pool["kind"] != "other"
            self.details = self.process.details(self.chosen) if inside else None
            self.lost = None
        except telemetry.Lost as lost:
            self.lost, self.details = str(lost), None

    def pool(self):
        """The chosen one."""
        return next((pool for pool in self.pools if pool["name"] == self.chosen), None)

    def draw_bar(self, line, column, pool, width):
        """Where the objects of a pool are."""
        for place, cells in words.bar(pool, PLACES, width):
            colour = curses.color_pair(COLOURS[place]) if curses.has_colors() else 0
            self.put(line, column, words.LETTERS[place] * cells, colour)
            column += cells

    def draw_head(self):
        """The first two lines."""
        line, clock = self.process.line, time.strftime("%H:%M:%S")
        who = f"{line.version}, pid {line.pid}" if line else "no process"
        state = "stopped" if self.stopped else f"every {self.interval:g} s"
        self.put(0, 0, f"magtop {clock}  {who}  {state}", curses.A_BOLD)
        if self.lost:
            self.put(1, 0, "waiting: " + self.lost, curses.A_BOLD)
            return
        ours = [pool for pool in self.pools if pool["kind"] != "other"]
        objects, out = (sum(pool[key] for pool in ours) for key in ("objects", "out"))
        self.put(
            1,
            0,
            f"{len(self.pools)} pools, {len(ours)} of magazine: "
            f"{words.number(out)} of {words.number(objects)} objects are out",
        )

    def draw_pools(self, lines):
        """The table of pools; returns the next free line."""
        width = self.window.getmaxyx()[1]
        bar_at = len(words.heading()) + 1
        self.put(3, 0, f"{words.heading() + ' WHERE':{width}}", curses.A_REVERSE)
        at = next((i for i, pool in enumerate(self.pools) if pool["name"] == self.chosen), 0)
        first = max(0, at - lines + 1)
        for i, pool in enumerate(self.pools[first : first + lines]):
            bold = curses.A_BOLD if pool["name"] == self.chosen else 0
            self.put(4 + i, 0, words.row(pool), bold)
            self.draw_bar(4 + i, bar_at, pool, width - bar_at - 1)
        return 4 + min(len(self.pools) - first, lines)

    def draw_inside(self, end):
        """The lcores of the chosen pool, above this line."""
        pool = self.pool()
        self.put(3, 0, words.row(pool), curses.A_BOLD)
        self.draw_bar(4, 0, pool, self.window.getmaxyx()[1] - 1)
        if pool["kind"] == "other":
            self.put(6, 0, "a pool of another handler: it tells no more")
            return
        line = 6
        if self.details is not None:
            for text in words.depot_lines(self.details):
                self.put(line, 0, text)
                line += 1
            width = self.window.getmaxyx()[1]
            self.put(line + 1, 0, f"{words.lcore_heading():{width}}", curses.A_REVERSE)
            for slot in self.details["slots"][: max(end - line - 2, 1)]:
                line += 1
                self.put(line + 1, 0, words.lcore_row(slot))

    def draw_events(self, line, lines, name=None):
        """The last events, the youngest below."""
        events = [event for event in self.process.events if name in (None, event["pool"])]
        self.put(line, 0, "EVENTS" if events else "no events yet", curses.A_BOLD)
        for i, event in enumerate(events[-lines:], 1):
            self.put(line + i, 0, words.event(event))

    def draw(self):
        """All of it."""
        self.window.erase()
        height = self.window.getmaxyx()[0]
        self.draw_head()
        below = height - EVENT_LINES - 2
        if self.help:
            for i, text in enumerate(HELP):
                self.put(3 + i, 0, text)
        elif self.inside and self.pool() is not None:
            self.draw_inside(below)
            self.draw_events(below, EVENT_LINES, self.chosen)
        else:
            self.draw_pools(max(below - 5, 1))
            self.draw_events(below, EVENT_LINES)
        keys = "q back" if self.help or self.inside else "q quit  Enter lcores  n s o g p f sort"
        self.put(
            height - 1, 0, keys + "  r reverse  +- interval  space stop  h help", curses.A_REVERSE
        )
        self.window.refresh()

    def move(self, step):
        """Choose the pool above or below."""
        names = [pool["name"] for pool in self.pools]
        if self.chosen in names:
            at = min(max(names.index(self.chosen) + step, 0), len(names) - 1)
            self.chosen = names[at]

    def slower(self, step):
        """The next interval."""
        near = min(range(len(INTERVALS)), key=lambda i: abs(INTERVALS[i] - self.interval))
        self.interval = INTERVALS[min(max(near + step, 0), len(INTERVALS) - 1)]

    def key(self, key):
        """What a key does; False: the end."""
        letter = chr(key) if 0 <= key < 128 else ""
        if letter in ("q", "\x1b"):
            if not (self.help or self.inside):
                return False
            self.help = self.inside = False
        elif letter == "h" or letter == "?":
            self.help = not self.help
        elif letter == " ":
            self.stopped = not self.stopped
        elif letter in ("+", "-"):
            self.slower(1 if letter == "+" else -1)
        elif letter == "r":
            self.reverse = not self.reverse
        elif letter and letter in words.SORTS:
            self.sort, self.reverse = letter, False
        elif key in (curses.KEY_ENTER, 10, 13):
            self.inside = self.pool() is not None
        elif key in (curses.KEY_UP, curses.KEY_DOWN) and not self.inside:
            self.move(-1 if key == curses.KEY_UP else 1)
        self.pools = words.sort(self.pools, self.sort, self.reverse)
        return True


def run(window, process, interval, sort):
    """Until q."""
    screen = Screen(window, process, interval, sort)
    window.keypad(True)
    due = 0
    while True:
        now = time.monotonic()
        if now >= due and not screen.stopped:
            screen.look()
            due = now + screen.interval
        screen.draw()
        left = 1 if screen.stopped else max(due - time.monotonic(), 0)
        window.timeout(int(left * 1000) + 1)
        key = window.getch()
        if key in (-1, curses.KEY_RESIZE):
            continue
        if not screen.key(key):
            return
        if key in (curses.KEY_ENTER, 10, 13):
            due = 0
