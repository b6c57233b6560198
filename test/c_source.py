# SPDX-License-Identifier: BSD-3-Clause
"""C as its tokens, for tests that read the code.

Tokens and matching brackets are enough to find functions and declarations in a tree that
clang-format keeps, and need no compiler library. Comments and directives are none.
"""

import re

TOKEN = re.compile(
    r"""
    (?P<skip> [ \t\r\f]+ | /\*.*?\*/ | //[^\n]* | \\\n )
  | (?P<line> \n )
  | (?P<word> [A-Za-z_]\w* )
  | (?P<number> (?: 0[xX][0-9a-fA-F]+ | \d+ (?:\.\d*)? ) [uUlLfF]* )
  | (?P<string> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' )
  | (?P<mark> -> | \+\+ | -- | <<= | >>= | << | >> | [<>=!+\-*/%&|^]= | && | \|\| | \.\.\. | . )
    """,
    re.VERBOSE | re.DOTALL,
)
DIRECTIVE = re.compile(r"[ \t]*#(?:\\\n|[^\n])*")
CLOSING = {"(": ")", "[": "]", "{": "}"}


class Token:
    """A token, and where it is in the text."""

    __slots__ = ("kind", "text", "start", "end", "match")

    def __init__(self, kind, text, start):
        self.kind = kind
        self.text = text
        self.start = start
        self.end = start + len(text)
        self.match = None  # of a bracket: the index of the other one


def tokens_of(text):
    """The tokens but for comments and directives, with the brackets matched."""
    found = []
    at, fresh = 0, True
    while at < len(text):
        directive = DIRECTIVE.match(text, at) if fresh else None
        if directive and directive.end() > at:
            at, fresh = directive.end(), False
            continue
        token = TOKEN.match(text, at)
        at = token.end()
        fresh = token.lastgroup == "line" or (fresh and token.lastgroup == "skip")
        if token.lastgroup not in ("skip", "line"):
            found.append(Token(token.lastgroup, token[0], token.start()))
    match_brackets(found)
    return found


def match_brackets(tokens):
    opened = []
    for i, token in enumerate(tokens):
        if token.text in CLOSING and token.kind == "mark":
            opened.append(i)
        elif token.text in CLOSING.values() and token.kind == "mark":
            # extern "C" is opened and closed between directives.
            while opened and CLOSING[tokens[opened[-1]].text] != token.text:
                opened.pop()
            if opened:
                token.match = opened.pop()
                tokens[token.match].match = i


def is_opened(tokens, i):
    """Is this the bracket of an extern "C" or of a namespace, which has functions in it?"""
    return tokens[i - 1].kind == "string" or any(
        token.text == "namespace" for token in tokens[max(0, i - 2) : i]
    )


def functions_of(tokens):
    """Name, first and last token of the body of each function."""
    i, begin = 0, 0
    while i < len(tokens):
        token = tokens[i]
        if token.text == "{" and i > 0 and is_opened(tokens, i):
            begin = i + 1
        elif token.text == "{" and token.match is not None:
            name = next(
                (
                    tokens[k].text
                    for k in range(begin, i - 1)
                    if tokens[k].kind == "word"
                    and tokens[k + 1].text == "("
                    and not tokens[k].text.startswith("__")
                ),
                None,
            )
            if name and tokens[i - 1].text == ")":
                yield name, i + 1, token.match - 1
            i = token.match
            begin = i + 1
        elif token.text in (";", "}"):
            begin = i + 1
        elif token.text in ("(", "[") and token.match is not None:
            i = token.match
        i += 1


def functions(text):
    """Name and number of lines of each function, from its name to its last brace."""
    tokens = tokens_of(text)
    for name, first, last in functions_of(tokens):
        head = first - 2
        while not (tokens[head].text == name and tokens[head + 1].text == "("):
            head -= 1
        yield name, text.count("\n", tokens[head].start, tokens[last + 1].start) + 1


def declarations(text):
    """The words of each statement outside of functions, types and tables, as one text."""
    tokens = tokens_of(text)
    words, i = [], 0
    while i < len(tokens):
        token = tokens[i]
        if token.text == "{" and is_opened(tokens, i):
            words = []
        elif token.text == "{" and token.match is not None:
            i = token.match
            # What follows a type belongs to it; a function has ended.
            if i + 1 < len(tokens) and tokens[i + 1].text != ";":
                words = []
        elif token.text == ";":
            yield " ".join(words)
            words = []
        elif token.text == "}":
            words = []
        else:
            words.append(token.text)
        i += 1
