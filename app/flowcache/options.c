/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "options.h"

#define IDLE_MS 2000
#define IDLE_MS_MAX 3600000
#define FLOWS 100000
#define FLOWS_MAX (1u << 24)
#define RATE_MAX 1000000000u
#define REPORT_MS 1000
#define REPORT_MS_MAX 60000

void
options_usage(const char *program)
{
	printf("usage: %s [EAL options] -- [options]\n\n"
	       "Counts the packets of each TCP and UDP flow of one port. Flows are objects of an\n"
	       "elastic cache: memory comes with them, and goes when they have expired.\n\n"
	       "  --idle MS      a flow expires after so long without a packet (%u)\n"
	       "  --flows N      at most so many at a time (%u)\n"
	       "  --rate N       receive about so many packets a second (as many as come)\n"
	       "  --report MS    time between two lines of the report (%u)\n"
	       "  --export FILE  write a line for each expired flow: protocol, address and port\n"
	       "                 of the initiator and of the other end, packets and bytes of\n"
	       "                 both, milliseconds\n"
	       "  --until-idle   end when nothing is received any more and all flows have\n"
	       "                 expired, instead of at SIGINT\n"
	       "  --help         this\n\n"
	       "The main lcore reports, another one receives; with a service lcore (-S), which is\n"
	       "recommended, memory comes before it is missed. For example:\n\n"
	       "  %s --lcores 0-1,2@0 -S 2 --no-pci \\\n"
	       "      --vdev net_pcap0,rx_pcap=FILE -- --rate 20000 --until-idle\n\n",
	       program, IDLE_MS, FLOWS, REPORT_MS, program);
}

static int
read_number(const char *name, const char *text, uint32_t max, uint32_t *value)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && number >= 1 &&
	    number <= max) {
		*value = (uint32_t)number;
		return 0;
	}
	fprintf(stderr, "flowcache: --%s %s: must be a number from 1 to %u\n", name, text, max);
	return -1;
}

static int
read_option(struct options *options, int option, char **argv)
{
	switch (option) {
	case 'i':
		return read_number("idle", optarg, IDLE_MS_MAX, &options->idle_ms);
	case 'f':
		return read_number("flows", optarg, FLOWS_MAX, &options->flows);
	case 'p':
		return read_number("rate", optarg, RATE_MAX, &options->rate);
	case 'r':
		return read_number("report", optarg, REPORT_MS_MAX, &options->report_ms);
	case 'e':
		options->export_path = optarg;
		return 0;
	case 'u':
		options->until_idle = true;
		return 0;
	case 'h':
		options_usage("flowcache");
		return 1;
	case ':':
		fprintf(stderr, "flowcache: option %s: needs a value, see --help\n",
			argv[optind - 1]);
		return -1;
	default:
		fprintf(stderr, "flowcache: option %s: not known, see --help\n", argv[optind - 1]);
		return -1;
	}
}

int
options_read(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{"idle", required_argument, NULL, 'i'},   {"flows", required_argument, NULL, 'f'},
		{"rate", required_argument, NULL, 'p'},   {"report", required_argument, NULL, 'r'},
		{"export", required_argument, NULL, 'e'}, {"until-idle", no_argument, NULL, 'u'},
		{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
	};
	int option, ret = 0;

	*options = (struct options){.idle_ms = IDLE_MS, .flows = FLOWS, .report_ms = REPORT_MS};
	while (ret == 0 && (option = getopt_long(argc, argv, ":", known, NULL)) != -1)
		ret = read_option(options, option, argv);
	if (ret == 0 && optind < argc) {
		fprintf(stderr, "flowcache: %s: no such argument, see --help\n", argv[optind]);
		ret = -1;
	}
	return ret;
}
