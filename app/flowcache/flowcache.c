/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A flow table whose memory follows the flows.
 *
 * One lcore receives, looks flows up and lets them expire (the table's owner). The main lcore,
 * which may sleep, has the rest (the collector): it writes and frees expired flows, sees to memory,
 * and reports. A service lcore, if there is one, runs the library's maintenance.
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_pause.h>

#include <mag_cache.h>

#include "flow_table.h"
#include "options.h"

#define BURST 32
#define RX_DESCRIPTORS 1024
#define MBUFS 8191
#define MBUF_CACHE 256
#define CONTROL_US 500

static struct {
	struct options options;
	struct rte_mempool *mbufs;
	struct flow_table *table;
	FILE *export;
	uint16_t port;
	_Atomic bool stopped;

	/* The main lcore's. */
	struct {
		uint64_t flows, packets, bytes;
	} totals;        /* of flows that have ended */
	uint64_t begin;  /* TSC */
	uint64_t report; /* TSC of the last line */
	uint64_t flows;  /* in the last line */
	uint64_t flows_peak;
	uint64_t memory_first;
	uint64_t memory_peak;
	bool refused; /* the system had no memory for more flows */
} app;

static uint64_t
ms_to_tsc(uint64_t ms)
{
	return ms * rte_get_tsc_hz() / 1000;
}

static double
tsc_to_ms(uint64_t tsc)
{
	return (double)tsc * 1000.0 / (double)rte_get_tsc_hz();
}

/* The receiving lcore */

struct burst {
	struct rte_mbuf *packet[BURST];
	uint16_t n;
	uint16_t at;  /* the next one to count */
	uint64_t due; /* TSC of the next burst, at the rate that was asked for */
};

static void
burst_receive(struct burst *burst, uint64_t now)
{
	if (now < burst->due)
		return;
	burst->n = rte_eth_rx_burst(app.port, 0, burst->packet, BURST);
	if (app.options.rate != 0)
		burst->due = now + burst->n * rte_get_tsc_hz() / app.options.rate;
}

/*
 * A packet that finds no memory for its flow waits, and those behind it wait in the port: the main
 * lcore takes memory within a millisecond. Where that is too long give the region a larger reserve.
 */
static void
burst_count(struct burst *burst, uint64_t now)
{
	while (burst->at < burst->n &&
	       flow_table_packet(app.table, burst->packet[burst->at], now) == 0)
		burst->at++;
	if (burst->at == burst->n) {
		rte_pktmbuf_free_bulk(burst->packet, burst->n);
		burst->at = burst->n = 0;
	}
}

static int
run(void *arg)
{
	uint64_t now = rte_rdtsc(), last = now, idle = ms_to_tsc(app.options.idle_ms);
	struct burst burst = {.n = 0};

	RTE_SET_USED(arg);
	while (!atomic_load_explicit(&app.stopped, memory_order_relaxed)) {
		now = rte_rdtsc();
		if (burst.n == 0)
			burst_receive(&burst, now);
		if (burst.n > 0 || now < burst.due)
			last = now;
		burst_count(&burst, now);
		flow_table_expire(app.table, now, false);
		if (app.options.until_idle && now - last >= idle)
			break;
	}
	rte_pktmbuf_free_bulk(burst.packet, burst.n);
	while (!flow_table_expire(app.table, now, true))
		rte_pause();
	mag_lcore_flush();
	return 0;
}

/* The main lcore */

static void
export_flow(const struct flow *flow, const struct flow_account *account)
{
	uint32_t first = account->first, other = 1 - first;
	char text[FLOW_KEY_TEXT];

	flow_key_text(&flow->key, first, text);
	fprintf(app.export, "%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.3f\n", text,
		account->packets[first], account->bytes[first], account->packets[other],
		account->bytes[other], tsc_to_ms(flow->last - account->begin));
}

static void
collect(void)
{
	const struct flow_account *account;
	struct flow *flows[BURST];
	unsigned int i, n;

	while ((n = flow_table_collect(app.table, flows, BURST)) > 0) {
		for (i = 0; i < n; i++) {
			account = flow_table_account(app.table, flows[i]);
			app.totals.packets += account->packets[0] + account->packets[1];
			app.totals.bytes += account->bytes[0] + account->bytes[1];
			if (app.export != NULL)
				export_flow(flows[i], account);
		}
		app.totals.flows += n;
		flow_table_free(app.table, flows, n);
	}
}

/* Where the system has no more, it is asked again with the next line of the report. */
static void
feed(void)
{
	static bool said;

	if (app.refused || flow_table_feed(app.table) == 0)
		return;
	app.refused = true;
	if (!said)
		fprintf(stderr, "flowcache: no memory for more flows, packets wait until some "
				"have expired: reserve more hugepages, or give fewer --flows\n");
	said = true;
}

/* Of the whole system; 0 where there are none. */
static unsigned long
hugepages_free(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long pages = 0;
	char line[128];

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL && pages == 0)
		sscanf(line, "HugePages_Free: %lu", &pages);
	fclose(file);
	return pages;
}

static void
report_heading(void)
{
	printf("%8s %11s %9s %9s %9s %13s %14s\n", "seconds", "packets", "flows", "expired",
	       "objects", "memory", "HugePages_Free");
}

static void
report(const struct flow_counts *counts, uint64_t memory)
{
	printf("%8.1f %11" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %13" PRIu64 " %14lu\n",
	       tsc_to_ms(rte_rdtsc() - app.begin) / 1000, counts->packets,
	       counts->created - counts->expired, counts->expired, counts->constructed, memory,
	       hugepages_free());
	fflush(stdout);
}

static void
watch(void)
{
	uint64_t now = rte_rdtsc(), memory = flow_table_memory(app.table), flows;
	struct flow_counts counts;

	flow_table_counts(app.table, &counts);
	flows = counts.created - counts.expired;
	app.flows_peak = RTE_MAX(app.flows_peak, flows);
	app.memory_peak = RTE_MAX(app.memory_peak, memory);
	if (now - app.report < ms_to_tsc(app.options.report_ms))
		return;
	if (flows < app.flows || flows == 0)
		flow_table_give_back(app.table, flows == 0);
	flow_table_counts(app.table, &counts);
	report(&counts, flow_table_memory(app.table));
	app.flows = flows;
	app.refused = false;
	app.report = now;
}

static void
control(unsigned int lcore)
{
	app.begin = app.report = rte_rdtsc();
	app.memory_first = flow_table_memory(app.table);
	report_heading();
	report(&(struct flow_counts){.packets = 0}, app.memory_first);
	rte_eal_remote_launch(run, NULL, lcore);
	while (rte_eal_get_lcore_state(lcore) != WAIT) {
		collect();
		feed();
		watch();
		rte_delay_us_sleep(CONTROL_US);
	}
	collect();
}

/* One line of key=value, the last one. Returns whether everything came back. */
static bool
summary(void)
{
	struct flow_counts counts;
	uint64_t memory;

	while (flow_table_give_back(app.table, true) != 0)
		rte_pause();
	flow_table_counts(app.table, &counts);
	memory = flow_table_memory(app.table);
	report(&counts, memory);
	printf("packets=%" PRIu64 " counted=%" PRIu64 " other=%" PRIu64 " untracked=%" PRIu64
	       " flows=%" PRIu64 " flow_packets=%" PRIu64 " flow_bytes=%" PRIu64
	       " flows_peak=%" PRIu64 " memory_first=%" PRIu64 " memory_peak=%" PRIu64
	       " memory_last=%" PRIu64 " objects_left=%" PRIu64 "\n",
	       counts.packets, counts.counted, counts.other, counts.untracked, app.totals.flows,
	       app.totals.packets, app.totals.bytes, app.flows_peak, app.memory_first,
	       app.memory_peak, memory, counts.constructed);
	if (counts.untracked > 0)
		fprintf(stderr,
			"flowcache: %" PRIu64 " packets were of no flow: there were %u, as "
			"many as --flows allows\n",
			counts.untracked, app.options.flows);
	return counts.constructed == 0;
}

/* Start and end */

static void
on_signal(int number)
{
	RTE_SET_USED(number);
	atomic_store_explicit(&app.stopped, true, memory_order_relaxed);
}

static int
port_error(const char *what, int error)
{
	fprintf(stderr, "flowcache: port %u: cannot %s: %s\n", app.port, what,
		rte_strerror(-error));
	return -1;
}

static int
port_start(void)
{
	struct rte_eth_conf conf = {.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE};
	uint16_t rx = RX_DESCRIPTORS, tx = 0;
	int node = rte_eth_dev_socket_id(app.port), ret;

	ret = rte_eth_dev_configure(app.port, 1, 0, &conf);
	if (ret == 0)
		ret = rte_eth_dev_adjust_nb_rx_tx_desc(app.port, &rx, &tx);
	if (ret != 0)
		return port_error("configure it", ret);
	ret = rte_eth_rx_queue_setup(app.port, 0, rx, (unsigned int)node, NULL, app.mbufs);
	if (ret != 0)
		return port_error("set up its receive queue", ret);
	ret = rte_eth_dev_start(app.port);
	if (ret != 0)
		return port_error("start it", ret);
	/* Captures know of no such mode. */
	ret = rte_eth_promiscuous_enable(app.port);
	return ret == 0 || ret == -ENOTSUP ? 0 : port_error("see all packets", ret);
}

static int
port_find(void)
{
	uint16_t ports = rte_eth_dev_count_avail();

	app.port = rte_eth_find_next(0);
	if (ports == 1)
		return 0;
	fprintf(stderr,
		"flowcache: %u ports: must be one, as with EAL's --no-pci "
		"--vdev net_pcap0,rx_pcap=FILE\n",
		ports);
	return -1;
}

static int
begin(void)
{
	int node;

	if (port_find() != 0)
		return -1;
	node = rte_eth_dev_socket_id(app.port);
	if (app.options.export_path != NULL) {
		app.export = fopen(app.options.export_path, "we");
		if (app.export == NULL) {
			fprintf(stderr, "flowcache: --export %s: cannot write there: %s\n",
				app.options.export_path, strerror(errno));
			return -1;
		}
	}
	app.table = flow_table_create(app.options.flows, ms_to_tsc(app.options.idle_ms), node);
	if (app.table == NULL)
		return -1;
	app.mbufs = rte_pktmbuf_pool_create("mbufs", MBUFS, MBUF_CACHE, 0,
					    RTE_MBUF_DEFAULT_BUF_SIZE, node);
	if (app.mbufs != NULL)
		return port_start();
	fprintf(stderr,
		"flowcache: no pool of %u mbufs: %s; give EAL more memory (hugepages, or "
		"-m with --no-huge)\n",
		MBUFS, rte_strerror(rte_errno));
	return -1;
}

/* Nobody has flows any more. Returns whether the table could be destroyed, and all is written. */
static bool
end(void)
{
	bool written = app.export == NULL || fclose(app.export) == 0;
	int ret;

	if (!written)
		fprintf(stderr, "flowcache: --export %s: not all is written: %s\n",
			app.options.export_path, strerror(errno));
	rte_eth_dev_stop(app.port);
	rte_eth_dev_close(app.port);
	ret = flow_table_destroy(app.table);
	if (ret != 0)
		fprintf(stderr, "flowcache: the table cannot be destroyed: %s\n",
			rte_strerror(-ret));
	return written && ret == 0;
}

int
main(int argc, char **argv)
{
	unsigned int lcore;
	bool good;
	int ret;

	rte_set_application_usage_hook(options_usage);
	ret = rte_eal_init(argc, argv);
	if (ret < 0)
		rte_exit(EXIT_FAILURE, "flowcache: EAL does not start: %s\n",
			 rte_strerror(rte_errno));
	argv[ret] = argv[0];
	ret = options_read(&app.options, argc - ret, argv + ret);
	if (ret != 0) {
		rte_eal_cleanup();
		return ret > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	lcore = rte_get_next_lcore(-1u, 1, 0);
	if (lcore == RTE_MAX_LCORE)
		fprintf(stderr, "flowcache: 1 lcore: must be at least 2, as with EAL's -l 0-1\n");
	if (lcore == RTE_MAX_LCORE || begin() != 0) {
		if (app.table != NULL)
			flow_table_destroy(app.table);
		rte_eal_cleanup();
		return EXIT_FAILURE;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	control(lcore);
	good = summary();
	good &= end();
	rte_eal_cleanup();
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
