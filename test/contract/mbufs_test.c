/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Mbufs as DPDK's libraries use them: chains, indirect ones and external buffers with reference
 * counts, from pools of the default handler and of the one under test.
 */

#include <netinet/in.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_gro.h>
#include <rte_gso.h>
#include <rte_ip.h>
#include <rte_ip_frag.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "harness.h"
#include "mag_stats.h"
#include "pool.h"
#include "rte_mempool_magazine.h"

#define MBUFS 1500u
#define ROOM 2048
#define ROUNDS (run_is_full() ? 2000u : 100u)
#define DATAGRAM_MAX 8000u
#define FRAGMENTS_MAX RTE_LIBRTE_IP_FRAG_MAX_FRAG
#define TCP_SEGMENTS 10u /* of one or two mbufs: since 24.11 GRO adds none to 20 */
#define TCP_PAYLOAD 1000u
#define TCP_HEADERS                                                                                \
	(sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr))

static const struct {
	const char *ops;
	const char *options;
	unsigned int cache_size;
} pools[] = {
	{REFERENCE_OPS, NULL, 0},
	{REFERENCE_OPS, NULL, 250},
	{NULL, NULL, 0},
	{NULL, NULL, 250},
	{NULL, "cache=0", 250},
	{NULL, "cache=8,guard=1", 250},
	{NULL, "guard=1,audit=1", 0},
	{NULL, "audit=1/2", 0},
	{NULL, "audit=1/2", 250},
	{NULL, "check=1", 250},
	{NULL, "rounds=14", 32},
};

static struct rte_mempool *
make(unsigned int which)
{
	const char *ops = pools[which].ops != NULL ? pools[which].ops : harness_ops();
	const char *options = pools[which].options;
	struct rte_mempool *mp;

	if (options != NULL)
		setenv("MAGAZINE_OPTIONS", options, 1);
	mp = rte_pktmbuf_pool_create_by_ops("mbufs", MBUFS, pools[which].cache_size, 0, ROOM,
					    SOCKET_ID_ANY, ops);
	unsetenv("MAGAZINE_OPTIONS");
	assert_non_null(mp);
	assert_string_equal(rte_mempool_get_ops(mp->ops_index)->name, ops);
	return mp;
}

static void
end(struct rte_mempool *mp)
{
	struct mag_cache *pool = rte_mempool_magazine_cache(mp);
	struct mag_cache_stats stats = {.bad_writes = 0};

	if (pool != NULL)
		mag_cache_stats_get(pool, &stats);
	assert_int_equal(stats.bad_writes, 0);
	assert_int_equal(rte_mempool_avail_count(mp), MBUFS);
	rte_mempool_free(mp);
}

static uint8_t
byte_at(unsigned int packet, unsigned int at)
{
	return (uint8_t)(packet * 31 + at * 7 + (at >> 8));
}

/* A chain of mbufs with @p len bytes of a packet, from place @p from of it. */
static struct rte_mbuf *
chain(struct rte_mempool *mp, unsigned int packet, unsigned int from, unsigned int len)
{
	struct rte_mbuf *head = NULL, *segment;
	unsigned int n;
	uint8_t *data;

	for (unsigned int at = 0; at < len; at += n) {
		segment = rte_pktmbuf_alloc(mp);
		assert_non_null(segment);
		n = RTE_MIN(len - at, 500 + random_below(1000));
		data = (uint8_t *)rte_pktmbuf_append(segment, n);
		for (unsigned int i = 0; i < n; i++)
			data[i] = byte_at(packet, from + at + i);
		if (head == NULL)
			head = segment;
		else
			assert_int_equal(rte_pktmbuf_chain(head, segment), 0);
	}
	return head;
}

/* Are there @p len bytes of the packet behind @p skip bytes of headers, and no more? */
static void
assert_bytes(const struct rte_mbuf *mbuf, unsigned int skip, unsigned int packet, unsigned int from,
	     unsigned int len)
{
	static uint8_t copy[UINT16_MAX];
	const uint8_t *data = rte_pktmbuf_read(mbuf, skip, len, copy);

	assert_int_equal(rte_pktmbuf_pkt_len(mbuf), skip + len);
	assert_non_null(data);
	for (unsigned int i = 0; i < len; i++)
		if (data[i] != byte_at(packet, from + i))
			fail_msg("packet %u: byte %u of %u differs", packet, i, len);
}

static struct rte_mbuf *
datagram(struct rte_mempool *mp, unsigned int packet, unsigned int len)
{
	struct rte_mbuf *mbuf = chain(mp, packet, 0, len);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)rte_pktmbuf_prepend(mbuf, sizeof(*ip));

	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16(len + sizeof(*ip)),
		.packet_id = rte_cpu_to_be_16(packet),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_UDP,
		.src_addr = RTE_BE32(RTE_IPV4(192, 0, 2, 1)),
		.dst_addr = RTE_BE32(RTE_IPV4(192, 0, 2, 2)),
	};
	mbuf->l3_len = sizeof(*ip);
	return mbuf;
}

/* Fragments in any order: the whole again, or NULL if @p lost of them do not arrive. */
static struct rte_mbuf *
reassemble(struct rte_ip_frag_tbl *table, struct rte_mbuf **parts, int n, int lost)
{
	struct rte_ip_frag_death_row dead = {.cnt = 0};
	struct rte_mbuf *whole = NULL, *swapped;
	int other;

	for (int i = n - 1; i > 0; i--) {
		other = (int)random_below((uint32_t)i + 1);
		swapped = parts[i];
		parts[i] = parts[other];
		parts[other] = swapped;
	}
	for (int i = 0; i < n; i++) {
		if (i < lost) {
			rte_pktmbuf_free(parts[i]);
			continue;
		}
		parts[i]->l2_len = 0;
		parts[i]->l3_len = sizeof(struct rte_ipv4_hdr);
		assert_null(whole);
		whole = rte_ipv4_frag_reassemble_packet(
			table, &dead, parts[i], rte_rdtsc(),
			rte_pktmbuf_mtod(parts[i], struct rte_ipv4_hdr *));
	}
	rte_ip_frag_free_death_row(&dead, 3);
	return whole;
}

TEST(fragments_are_put_together_again)
{
	struct rte_mbuf *parts[FRAGMENTS_MAX], *packet, *whole;
	unsigned int len, size, lost;
	struct rte_ip_frag_tbl *table;
	struct rte_mempool *mp;
	int n;

	for (unsigned int which = 0; which < RTE_DIM(pools); which++) {
		mp = make(which);
		table = rte_ip_frag_table_create(64, 4, 64, rte_get_tsc_hz() * 3600, SOCKET_ID_ANY);
		assert_non_null(table);
		for (unsigned int i = 0; i < ROUNDS; i++) {
			len = 1600 + random_below(DATAGRAM_MAX - 1600);
			packet = datagram(mp, i, len);
			size = RTE_ALIGN(len / (2 + random_below(FRAGMENTS_MAX - 2)), 8);
			n = rte_ipv4_fragment_packet(packet, parts, FRAGMENTS_MAX, 20 + size, mp,
						     mp);
			assert_in_range(n, 2, FRAGMENTS_MAX);
			rte_pktmbuf_free(packet);
			/* What is never complete waits in the table, which has room for 64. */
			lost = i % (ROUNDS / 5) == 7;
			whole = reassemble(table, parts, n, (int)lost);
			assert_int_equal(whole == NULL, lost);
			if (whole != NULL)
				assert_bytes(whole, sizeof(struct rte_ipv4_hdr), i, 0, len);
			rte_pktmbuf_free(whole);
		}
		rte_ip_frag_table_destroy(table);
		end(mp);
	}
}

static struct rte_mbuf *
tcp_segment(struct rte_mempool *mp, unsigned int packet, unsigned int number)
{
	struct rte_mbuf *mbuf = chain(mp, packet, number * TCP_PAYLOAD, TCP_PAYLOAD);
	char *headers;

	headers = rte_pktmbuf_prepend(mbuf, TCP_HEADERS);
	memset(headers, 0, TCP_HEADERS);
	*(struct rte_ether_hdr *)headers = (struct rte_ether_hdr){
		.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4),
	};
	headers += sizeof(struct rte_ether_hdr);
	*(struct rte_ipv4_hdr *)headers = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length =
			rte_cpu_to_be_16(TCP_HEADERS - sizeof(struct rte_ether_hdr) + TCP_PAYLOAD),
		.packet_id = rte_cpu_to_be_16(number),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_TCP,
		.src_addr = RTE_BE32(RTE_IPV4(192, 0, 2, 1)),
		.dst_addr = RTE_BE32(RTE_IPV4(192, 0, 2, 2)),
	};
	headers += sizeof(struct rte_ipv4_hdr);
	*(struct rte_tcp_hdr *)headers = (struct rte_tcp_hdr){
		.src_port = rte_cpu_to_be_16(packet),
		.dst_port = RTE_BE16(80),
		.sent_seq = rte_cpu_to_be_32(number * TCP_PAYLOAD),
		.data_off = sizeof(struct rte_tcp_hdr) / 4 << 4,
		.tcp_flags = RTE_TCP_ACK_FLAG,
	};
	mbuf->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
	mbuf->l2_len = sizeof(struct rte_ether_hdr);
	mbuf->l3_len = sizeof(struct rte_ipv4_hdr);
	mbuf->l4_len = sizeof(struct rte_tcp_hdr);
	return mbuf;
}

/* One packet of all segments becomes as many again, each with a piece of its memory. */
static void
assert_segmented(struct rte_mempool *mp, struct rte_mbuf *packet, unsigned int number)
{
	const struct rte_gso_ctx gso = {
		.direct_pool = mp,
		.indirect_pool = mp,
		.gso_types = RTE_ETH_TX_OFFLOAD_TCP_TSO,
		.gso_size = TCP_HEADERS + TCP_PAYLOAD,
	};
	struct rte_mbuf *parts[2 * TCP_SEGMENTS];
	int n;

	packet->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4;
	n = rte_gso_segment(packet, &gso, parts, RTE_DIM(parts));
	assert_int_equal(n, TCP_SEGMENTS);
	rte_pktmbuf_free(packet);
	for (unsigned int i = 0; i < TCP_SEGMENTS; i++) {
		assert_bytes(parts[i], TCP_HEADERS, number, i * TCP_PAYLOAD, TCP_PAYLOAD);
		rte_pktmbuf_free(parts[i]);
	}
}

TEST(segments_are_merged_and_made_again)
{
	const struct rte_gro_param gro = {
		.gro_types = RTE_GRO_TCP_IPV4,
		.max_flow_num = 4,
		.max_item_per_flow = TCP_SEGMENTS,
	};
	struct rte_mbuf *packets[TCP_SEGMENTS];
	struct rte_mempool *mp;

	for (unsigned int which = 0; which < RTE_DIM(pools); which++) {
		mp = make(which);
		for (unsigned int round = 0; round < ROUNDS; round++) {
			for (unsigned int i = 0; i < TCP_SEGMENTS; i++)
				packets[i] = tcp_segment(mp, round, i);
			assert_int_equal(rte_gro_reassemble_burst(packets, TCP_SEGMENTS, &gro), 1);
			assert_bytes(packets[0], TCP_HEADERS, round, 0, TCP_SEGMENTS * TCP_PAYLOAD);
			assert_segmented(mp, packets[0], round);
		}
		end(mp);
	}
}

#define BUFFER 4096u
#define USERS 12u

static void
count_free(void *buffer, void *freed)
{
	memset(buffer, 0xee, BUFFER - sizeof(struct rte_mbuf_ext_shared_info));
	++*(unsigned int *)freed;
}

/* Mbufs that have the buffer, and clones of them, which have it too. */
static void
share(struct rte_mempool *mp, uint8_t *buffer, unsigned int packet, struct rte_mbuf **users,
      unsigned int *freed)
{
	uint16_t room = BUFFER;
	struct rte_mbuf_ext_shared_info *shared =
		rte_pktmbuf_ext_shinfo_init_helper(buffer, &room, count_free, freed);
	unsigned int len = room;

	assert_non_null(shared);
	for (unsigned int i = 0; i < len; i++)
		buffer[i] = byte_at(packet, i);
	rte_mbuf_ext_refcnt_set(shared, USERS / 2);
	for (unsigned int i = 0; i < USERS; i++) {
		if (i % 2 == 1) {
			users[i] = rte_pktmbuf_clone(users[i - 1], mp);
			assert_non_null(users[i]);
			continue;
		}
		users[i] = rte_pktmbuf_alloc(mp);
		assert_non_null(users[i]);
		rte_pktmbuf_attach_extbuf(users[i], buffer, rte_malloc_virt2iova(buffer), room,
					  shared);
		assert_non_null(rte_pktmbuf_append(users[i], 1000));
	}
	assert_int_equal(rte_mbuf_ext_refcnt_read(shared), USERS);
}

TEST(an_external_buffer_is_freed_by_the_last_of_its_mbufs)
{
	unsigned int last, freed;
	struct rte_mbuf *users[USERS];
	struct rte_mempool *mp;
	uint8_t *buffer = rte_malloc(NULL, BUFFER, 0);

	assert_non_null(buffer);
	for (unsigned int which = 0; which < RTE_DIM(pools); which++) {
		mp = make(which);
		for (unsigned int round = 0; round < ROUNDS; round++) {
			freed = 0;
			share(mp, buffer, round, users, &freed);
			for (unsigned int i = USERS; i > 0; i--) {
				last = random_below(i);
				assert_int_equal(freed, 0);
				assert_bytes(users[last], 0, round, 0, 1000);
				rte_pktmbuf_free(users[last]);
				users[last] = users[i - 1];
			}
			assert_int_equal(freed, 1);
		}
		end(mp);
	}
	rte_free(buffer);
}

int
main(int argc, char **argv)
{
	return HARNESS_RUN(argc, argv, 1);
}
