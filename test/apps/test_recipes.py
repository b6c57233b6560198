#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Lines of doc/guide/recipes.rst, as they are written there. That of Open vSwitch is run by
test_ovs.py.
"""

import shlex
import subprocess

import lab
import tap

DUMPS = "dump_mempool mb_pool_0\ndump mempool mb_pool_0\n"  # the words of one version, or the other


def testpmd():
    lab.need_tools(**{"dpdk-testpmd": "dpdk-dev"})
    (line,) = lab.recipe("testpmd")
    words = shlex.split(line)
    memory = [] if lab.has_hugepages() else ["--no-huge", "-m", str(lab.NO_HUGE_MB)]
    words[1:1] = [f"--file-prefix={lab.PREFIX}recipe", *memory]
    with lab.start(*words, stdin=subprocess.PIPE) as process:
        process.stdin.write(f"start tx_first\nstop\n{DUMPS}quit\n")
        output = lab.ended(process, lab.COMMAND_SECONDS)
    tap.check(process.returncode == 0, f"status {process.returncode}:\n{lab.last_lines(output)}")
    tap.check("ops_name: <magazine>" in output, f"no pool of magazine:\n{output[-2000:]}")


lab.enter()
with tap.case("testpmd"):
    testpmd()
tap.finish()
