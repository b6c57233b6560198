# SPDX-License-Identifier: BSD-3-Clause
"""Machines whose caches are simulated: how long a line takes from one core to another.

Times between cores are medians that others have measured, by an exchange of messages through a
compare-and-exchange: README.md of github.com/nviennot/core-to-core-latency. What a core itself does
is the same for all, as on the machine of doc/performance.md.
"""

import typing


class Machine(typing.NamedTuple):
    """Cores with a number below `group` share a last-level cache, and so on; times in ns."""

    name: str
    cores: int  # of all sockets; the simulator puts one lcore on each
    socket: int  # cores of one
    group: int  # that share a last-level cache
    near: float  # a line from a core of the same group
    across: float  # from another group
    far: float  # from another socket
    instruction: float = 0.065
    locked: float = 5.0  # a locked instruction more than others
    window: int = 300  # instructions that a core is ahead of a load that it waits for
    fills: int = 16  # lines that it waits for at once
    stores: int = 56  # that wait for their line

    def transfer(self, one, other):
        """ns that a line takes from one core to the other."""
        if one // self.socket != other // self.socket:
            return self.far
        return self.near if one // self.group == other // self.group else self.across


MACHINES = {
    machine.name: machine
    for machine in (
        # The machine of doc/performance.md: 225 ns for two transfers.
        Machine("here", 2, 2, 2, 112, 112, 112),
        # AMD EPYC, 3rd generation: 23 ns in a group of eight, 107 between groups, 197 between
        # sockets (7R13), with the 64 cores of a 7763.
        Machine("milan", 128, 64, 8, 23, 107, 197),
        # Intel Xeon Platinum 8375C: 51 ns, 108 between sockets.
        Machine("icelake", 64, 32, 32, 51, 51, 108),
    )
}
