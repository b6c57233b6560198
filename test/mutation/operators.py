# SPDX-License-Identifier: BSD-3-Clause
"""Mutants of a C file, made by operators from its tokens.

| operator | what it does |
|---|---|
| delete | leaves out a statement that is no declaration |
| negate | negates the condition of an if, or swaps == and != elsewhere |
| bound | moves a comparison by one (< and <=, > and >=), or adds 1 to a number |
| connective | swaps && and || |
| order | makes an acquire, release or sequentially consistent memory order relaxed |

Only bodies of functions are mutated. Tokens and matching brackets are enough to find statements in
a tree that clang-format keeps, and need no compiler library; a mutant that does not compile is not
counted. Left out is what no test can or should see: log messages, assertions, hints to the
processor.
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from c_source import CLOSING, functions_of, tokens_of  # noqa: E402

KEYWORDS = set(
    "if else for while do switch case default return goto break continue sizeof typedef struct "
    "union enum static const "
    "volatile extern inline register _Atomic _Static_assert static_assert".split()
)
UNSEEN = set(
    "MAG_LOG RTE_LOG rte_log RTE_SET_USED RTE_ASSERT RTE_BUILD_BUG_ON assert rte_pause sched_yield "
    "rte_prefetch0 "
    "va_start va_end MAG_PREFETCH_WRITE".split()
)
BOUNDS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
EQUALITY = {"==": "!=", "!=": "=="}
CONNECTIVES = {"&&": "||", "||": "&&"}
STRONG = {f"memory_order_{order}" for order in ("acquire", "release", "acq_rel", "seq_cst")}


class Mutant:
    """One change of one file."""

    def __init__(self, path, function, operator, text, start, end, new):
        self.path = path
        self.function = function
        self.operator = operator
        self.start = start
        self.end = end
        self.new = new
        self.line = text.count("\n", 0, start) + 1
        first = text.rfind("\n", 0, start) + 1
        last = text.find("\n", end)
        self.old_line = " ".join(text[first:last].split())
        self.new_line = " ".join((text[first:start] + new + text[end:last]).split())

    @property
    def key(self):
        """What it is, wherever the function stands."""
        line = self.old_line if self.operator == "delete" else self.new_line
        return f"{self.function}: {self.operator}: {line}"

    def apply(self, text):
        return text[: self.start] + self.new + text[self.end :]


class Body:
    """The body of one function, and what may be done to it."""

    def __init__(self, path, text, tokens, name, first, last):
        self.path, self.text, self.tokens = path, text, tokens
        self.name, self.first, self.last = name, first, last
        self.hidden = self._hidden()

    def mutants(self):
        yield from self._statements()
        heads = set()
        for i in range(self.first, self.last + 1):
            token = self.tokens[i]
            if i in self.hidden:
                continue
            if token.text == "if" and self.tokens[i + 1].match is not None:
                close = self.tokens[i + 1].match
                inner = self.text[self.tokens[i + 1].end : self.tokens[close].start]
                if self._has_no(CONNECTIVES, i + 1, close):
                    heads.update(range(i, close))
                yield self._mutant(
                    "negate", self.tokens[i + 1].end, self.tokens[close].start, f"!({inner})"
                )
            elif token.text in EQUALITY and i not in heads:
                yield self._swap("negate", token, EQUALITY)
            elif token.text in BOUNDS:
                yield self._swap("bound", token, BOUNDS)
            elif token.kind == "number" and self._is_plain_number(i):
                number, suffix = re.fullmatch(r"(\d+)(\w*)", token.text).groups()
                yield self._mutant("bound", token.start, token.end, f"{int(number) + 1}{suffix}")
            elif token.text in CONNECTIVES:
                yield self._swap("connective", token, CONNECTIVES)
            elif token.text in STRONG:
                yield self._mutant("order", token.start, token.end, "memory_order_relaxed")

    def _mutant(self, operator, start, end, new):
        return Mutant(self.path, self.name, operator, self.text, start, end, new)

    def _swap(self, operator, token, table):
        return self._mutant(operator, token.start, token.end, table[token.text])

    def _hidden(self):
        """Tokens of calls that no test sees."""
        hidden = set()
        for i in range(self.first, self.last):
            if self.tokens[i].text in UNSEEN and self.tokens[i + 1].text == "(":
                hidden.update(range(i, self.tokens[i + 1].match + 1))
        return hidden

    def _has_no(self, table, first, last):
        return not any(self.tokens[i].text in table for i in range(first, last))

    def _is_plain_number(self, i):
        """Decimal, not a -1, and not the length of an array or the value of a macro's own."""
        before = self.tokens[i - 1].text
        return re.fullmatch(r"\d+[uUlL]*", self.tokens[i].text) and before not in ("-", "[")

    def _statements(self):
        starts = True
        i = self.first
        while i <= self.last:
            token = self.tokens[i]
            if starts and i not in self.hidden:
                end = self._deletable(i)
                if end:
                    yield self._mutant("delete", token.start, self.tokens[end].end, ";")
            if (
                token.text in ("if", "for", "while", "switch")
                and self.tokens[i + 1].match is not None
            ):
                i, starts = self.tokens[i + 1].match, True
            elif self._is_loop_macro(i):
                i, starts = self.tokens[i + 1].match, True
            elif token.text in ("(", "[") and token.match is not None:
                i, starts = token.match, False
            else:
                starts = token.text in (";", "{", "}", ":", "else", "do")
            i += 1

    def _is_loop_macro(self, i):
        token = self.tokens[i]
        return (
            token.kind == "word"
            and re.search(r"FOREACH", token.text)
            and self.tokens[i + 1].text == "("
        )

    def _deletable(self, i):
        """The index of the ; of a statement that begins here, if it is one to leave out."""
        token, after = self.tokens[i], self.tokens[i + 1].text
        if token.text in ("break", "continue"):
            return i + 1
        if token.kind == "word":
            if token.text in KEYWORDS or self._is_loop_macro(i) or "prefetch" in token.text:
                return None
            # What follows a type's name is another name or a star.
            if after not in ("(", "->", ".", "[", "++", "--") and not re.fullmatch(
                r"[-+*/%&|^]?=|<<=|>>=", after
            ):
                return None
        elif token.text not in ("*", "(", "++", "--"):
            return None
        while i <= self.last:
            if self.tokens[i].text == ";":
                return i
            if self.tokens[i].text in CLOSING and self.tokens[i].kind == "mark":
                i = self.tokens[i].match
            i += 1
        return None


def mutants_of(path, text):
    """All mutants of a file, in the order of their places."""
    tokens = tokens_of(text)
    found = []
    for name, first, last in functions_of(tokens):
        found += Body(path, text, tokens, name, first, last).mutants()
    return sorted(found, key=lambda mutant: (mutant.start, mutant.operator, mutant.new))
