#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""--mp-alloc: memory from EAL, external memory, external hugepages, pinned external buffers.

Every pool is proven to be of this driver. What testpmd refuses with the default handler too is
skipped.
"""

import itertools

import tap
from testpmd import NULL_PORTS, FULL, StartRefused, Testpmd

MODES = ("io", "macswap", "txonly", "flowgen")
DEFAULT_HANDLER = "ring_mp_mc"
CACHES = (0, 250, 512) if FULL else (0, 250)


def start(memory, cache, ops):
    return Testpmd(
        "alloc", NULL_PORTS, cores=2, mbcache=cache, args=[f"--mp-alloc={memory}"], **ops
    )


def start_or_skip(memory, cache):
    """The process, or Skip if the default handler is refused like ours."""
    try:
        return start(memory, cache, {})
    except StartRefused as refused:
        try:
            with start(memory, cache, {"ops": DEFAULT_HANDLER}):
                raise
        except StartRefused as default:
            if default is refused:
                raise
            cause = [
                line for line in str(default).splitlines() if "Cause:" in line or "Cannot" in line
            ]
            raise tap.Skip(
                f"{DEFAULT_HANDLER} is refused too: {'; '.join(c.strip() for c in cause)}"
            ) from None


for memory, cache in itertools.product(("native", "xmem", "xmemhuge", "xbuf"), CACHES):
    with tap.case(f"--mp-alloc={memory}, mempool cache {cache}"), start_or_skip(
        memory, cache
    ) as pmd:
        tap.check(
            all(pool.cache_size == cache for pool in pmd.pools()), f"other cache size than {cache}"
        )
        for mode in MODES:
            run = pmd.forward(mode, count="tx" if mode == "txonly" else "rx")
            tap.check(run.totals.tx > 0, f"{mode}: nothing sent")
            pmd.require_idle()
        pmd.stop_ports()
        pmd.close_ports()
        pmd.require_idle()
        pmd.quit()
tap.finish()
