/* SPDX-License-Identifier: BSD-3-Clause */

#include "../patience.h"
#include "base/peer.h"
#include "eal.h"
#include "slot/thread.h"

#define MAX_ARGS 24

#if defined(__SANITIZE_THREAD__)
/* EAL's own locks are not instrumented, so ThreadSanitizer cannot see what they order. */
const char *__tsan_default_suppressions(void);

const char *
__tsan_default_suppressions(void)
{
	return "called_from_lib:librte_eal.so\n"
	       "called_from_lib:librte_telemetry.so\n"
	       "race:librte_eal.so\n";
}
#endif

void
eal_start(unsigned int lcores, ...)
{
	const char *args[MAX_ARGS];
	unsigned int n = 0;
	va_list more;

	va_start(more, lcores);
	do
		args[n] = va_arg(more, const char *);
	while (args[n] != NULL && ++n < MAX_ARGS);
	va_end(more);
	eal_must(&(struct eal_plan){
		.name = "unit", .megabytes = 128, .lcores = lcores, .args = args});
	/* What stays until EAL ends is not in the balances of tests. */
	if (mag_thread_share() != 0 || !mag_peer_join()) {
		printf("Bail out! no memory for the table of slots\n");
		exit(1);
	}
	seed_choose();
}

uint64_t
wait_deadline(void)
{
	return now_ms() + WAIT_SECONDS * 1000;
}

bool
wait_is_over(uint64_t deadline)
{
	usleep(100);
	return now_ms() > deadline &&
	       now_ms() > deadline + (patience() - 1) * UINT64_C(1000) * WAIT_SECONDS;
}

void
let_pass(unsigned int ms)
{
	usleep(ms * 1000);
}

void
log_end_with(const char *part)
{
	const char *text = log_end();

	if (count_lines(text) != 1 || strstr(text, part) == NULL)
		fail_msg("not one line with \"%s\", but: %s", part, text);
}

static uint64_t balance_before;

void
refusal_begin(void)
{
	balance_before = heap_balance();
	rte_errno = 0;
	log_begin();
}

void
refusal_end(const char *call, int ret, int error, const char *part)
{
	log_end_with(part);
	if (ret != -error)
		fail_msg("%s: %d, not %d", call, ret, -error);
	assert_int_equal(heap_balance(), balance_before);
}
