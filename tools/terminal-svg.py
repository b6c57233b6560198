#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A picture of a terminal: 'tmux capture-pane -e -p | terminal-svg.py TITLE > picture.svg'."""

import re
import sys
from xml.sax.saxutils import escape

CELL, LINE, EDGE = 7.8, 17, 10
FONT = "DejaVu Sans Mono, Menlo, Consolas, monospace"
BACK, FRONT = "#1b1e23", "#d7dae0"
COLOURS = ("#000000", "#b23a48", "#4c8c4a", "#b58900", "#3a6ea5", "#8b5a9b", "#2a8c8c", "#d7dae0")
SEQUENCE = re.compile(r"\x1b\[([0-9;]*)m")


class Style:
    """Attributes as escape sequences set them."""

    def __init__(self):
        self.front, self.back, self.bold, self.reverse = None, None, False, False

    def set(self, codes):
        """One sequence."""
        for code in [int(code or 0) for code in codes.split(";")]:
            if code == 0:
                self.__init__()
            elif code == 1:
                self.bold = True
            elif code in (7, 27):
                self.reverse = code == 7
            elif 30 <= code <= 37:
                self.front = COLOURS[code - 30]
            elif 40 <= code <= 47:
                self.back = COLOURS[code - 40]
            elif code == 39:
                self.front = None
            elif code == 49:
                self.back = None

    def colours(self):
        """Of letters, and of what is behind them; None: the terminal's own."""
        if self.reverse:
            return self.back or BACK, self.front or FRONT
        return self.front or FRONT, self.back


def runs(line, style):
    """(column, text, style) of each run of one style."""
    column = 0
    parts = SEQUENCE.split(line)
    for i, part in enumerate(parts):
        if i % 2:
            style.set(part)
        elif part:
            yield column, part, style
            column += len(part)


def draw(lines):
    """The elements of a picture."""
    style = Style()
    for number, line in enumerate(lines):
        top = EDGE + number * LINE
        for column, text, now in runs(line, style):
            front, back = now.colours()
            left, width = EDGE + column * CELL, len(text) * CELL
            if back:
                yield (
                    f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{LINE}" '
                    f'fill="{back}"/>'
                )
            if text.strip():
                weight = ' font-weight="bold"' if now.bold else ""
                yield (
                    f'<text x="{left:.1f}" y="{top + 13}" textLength="{width:.1f}" '
                    f'fill="{front}"{weight} xml:space="preserve">{escape(text)}</text>'
                )


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    widest = max(len(SEQUENCE.sub("", line)) for line in lines)
    width, height = widest * CELL + 2 * EDGE, len(lines) * LINE + 2 * EDGE
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" font-family="{FONT}" font-size="13">'
    )
    print(f"<title>{escape(' '.join(sys.argv[1:]) or 'A terminal')}</title>")
    print(f'<rect width="100%" height="100%" rx="6" fill="{BACK}"/>')
    for element in draw(lines):
        print(element)
    print("</svg>")


if __name__ == "__main__":
    main()
