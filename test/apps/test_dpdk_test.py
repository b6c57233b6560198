#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's own fast tests, as the distribution has them in dpdk-test: each ends on magazine as it
does on the default handler.

Those that make packet pools run on magazine three times, see lab.RUNS, the others once. A test
that the program does not know, or that it skips on the default handler, is skipped. With arguments,
only tests of these names.
"""

import os
import subprocess
import sys

import lab
import tap

PROGRAM = "dpdk-test"
TEST_SECONDS = 60
SKIPPED = 77  # its exit status
HANGS = "does not end"
LCORES = min(max(len(os.sched_getaffinity(0)), 2), 4)  # some of these tests spin

# They make packet pools, directly or by the library that they test.
POOLS = """
bitratestats_autotest cryptodev_null_autotest cryptodev_openssl_autotest distributor_autotest
event_eth_tx_adapter_autotest eventdev_selftest_sw graph_autotest ipfrag_autotest ipsec_autotest
latencystats_autotest link_bonding_autotest link_bonding_mode4_autotest
link_bonding_rssconf_autotest mbuf_autotest mempool_autotest node_list_dump pdump_autotest
reorder_autotest ring_pmd_autotest sched_autotest security_autotest table_autotest
""".split()
OTHERS = """
acl_autotest atomic_autotest bitmap_autotest bitops_autotest byteorder_autotest cksum_autotest
cmdline_autotest common_autotest cpuflags_autotest crc_autotest debug_autotest devargs_autotest
eal_flags_a_opt_autotest eal_flags_b_opt_autotest eal_flags_c_opt_autotest
eal_flags_file_prefix_autotest eal_flags_hpet_autotest eal_flags_main_opt_autotest
eal_flags_mem_autotest eal_flags_misc_autotest eal_flags_n_opt_autotest
eal_flags_no_huge_autotest eal_flags_r_opt_autotest eal_flags_vdev_opt_autotest eal_fs_autotest
errno_autotest ethdev_link_status event_ring_autotest eventdev_common_autotest fbarray_autotest
fib_autotest fib6_autotest flow_classify_autotest func_reentrancy_autotest hash_autotest
hash_readwrite_func_autotest interrupt_autotest kvargs_autotest lcores_autotest logs_autotest
lpm_autotest lpm6_autotest malloc_autotest mcslock_autotest member_autotest memcpy_autotest
memory_autotest memzone_autotest meter_autotest metrics_autotest multiprocess_autotest
per_lcore_autotest pflock_autotest pie_autotest power_autotest prefetch_autotest
rcu_qsbr_autotest rib_autotest rib6_autotest ring_autotest rwlock_test1_autotest
rwlock_rda_autotest rwlock_rds_wrm_autotest rwlock_rde_wro_autotest seqlock_autotest
service_autotest spinlock_autotest stack_autotest stack_lf_autotest string_autotest
tailq_autotest telemetry_data_autotest telemetry_json_autotest thash_autotest threads_autotest
ticketlock_autotest timer_autotest trace_autotest user_delay_us vdev_autotest version_autotest
""".split()

DEVICES = {
    "cryptodev_null_autotest": "crypto_null0",
    "cryptodev_openssl_autotest": "crypto_openssl0",
}


def result_of(how, name):
    """Status of one test, and what it printed."""
    devices = [f"--vdev={DEVICES[name]}"] if name in DEVICES else []
    line = [PROGRAM, *lab.eal(how, "dpdk-test", LCORES), *devices, name]
    with lab.start(*line, env=lab.environment(how, DPDK_TEST=name)) as process:
        try:
            output = lab.ended(process, TEST_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return HANGS, process.communicate()[0]
    return process.returncode, output


def runs_of(name):
    return lab.RUNS if name in POOLS else lab.RUNS[:2]


def compare(name):
    default, *others = runs_of(name)
    expected, output = result_of(default, name)
    if "invalid test command" in output:
        raise tap.Skip(f"{PROGRAM} does not know it")
    if expected == HANGS:
        raise tap.Skip(f"does not end within {TEST_SECONDS} s on the default handler")
    if expected == SKIPPED:
        raise tap.Skip("skips itself on the default handler")
    for how in others:
        status, output = result_of(how, name)
        tap.check(
            status == expected,
            f"{how.name}: {status}, default {expected}\n{lab.last_lines(output, 40)}",
        )
    if expected != 0:
        raise tap.Skip(f"ends with {expected} on the default handler, and on magazine too")


def main():
    lab.enter()
    names = sys.argv[1:] or POOLS + OTHERS
    for name in names:
        with tap.case(name):
            lab.need_tools(**{PROGRAM: "dpdk-dev"})
            compare(name)
    tap.finish()


main()
