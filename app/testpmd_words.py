# SPDX-License-Identifier: BSD-3-Clause
"""What testpmd's console calls differently in the versions of DPDK from 22.11 to 25.11."""

import re

UNKNOWN = "Command not found"  # what each version answers to another one's words
WORKER = re.compile(r"\b(?:rte-worker-|dpdk-worker)\d")  # EAL's threads: 22.11; later
DUMP_MEMPOOL = ("dump_mempool {}", "dump mempool {}")  # 22.11 to 24.11; 25.11


class Unexpected(Exception):
    """An answer that nobody understands, in one sentence: what was asked, and what came."""


def said(text, most=200):
    """An answer in one line, for a sentence."""
    line = " / ".join(
        part.strip()
        for part in text.splitlines()
        if part.strip() and not part.startswith("testpmd>")
    )
    return f"'{line[:most]}{'...' if len(line) > most else ''}'" if line else "nothing"


def number(asked, text, field, otherwise=None):
    """The number of a field of an answer."""
    found = re.search(rf"\b{field}=(\d+)", text)
    if found:
        return int(found[1])
    if otherwise is None:
        raise Unexpected(f"asked '{asked}', expected {field}=N, and came {said(text)}")
    return otherwise


def cache_counts(text):
    """Of a dump of a pool: the mbufs in the mempool cache of each lcore that has some."""
    found = re.findall(r"\bcache_count\[(\d+)\]=(\d+)", text)
    return {int(lcore): int(count) for lcore, count in found if int(count)}


class MempoolDump:
    """Asks for a pool in the words that this testpmd knows; refused is called after those that it
    does not.
    """

    def __init__(self, run, refused=lambda: None):
        self.run = run
        self.refused = refused
        self.words = list(DUMP_MEMPOOL)

    def ask(self, pool):
        """What was asked in the end, and the answer."""
        while True:
            asked = self.words[0].format(pool)
            text = self.run(asked)
            if f"mempool <{pool}>@" in text:
                del self.words[1:]
                return asked, text
            if UNKNOWN not in text or len(self.words) == 1:
                raise Unexpected(
                    f"asked '{asked}', expected 'mempool <{pool}>', and came {said(text)}"
                )
            self.words.pop(0)
            self.refused()
