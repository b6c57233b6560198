/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Random sequences of the library's calls against a reference model (libFuzzer).
 *
 * Each byte of an input chooses a call, those behind it its arguments. After each call the model
 * compares all counts; at the end everything is destroyed, and nothing may be left.
 */

#include "calls.h"
#include "process.h"
#include "../common/start.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A call is here as often as it shall be likely. */
static void (*const calls[])(struct input *input) = {call_region_create,  call_region_mirror,
						     call_region_mirror,  call_region_adopt,
						     call_region_grow,    call_region_trim,
						     call_region_tend,    call_region_destroy,
						     call_cache_create,   call_cache_create,
						     call_cache_destroy,  call_alloc,
						     call_alloc,          call_alloc_burst,
						     call_alloc_burst,    call_alloc_burst,
						     call_alloc_bulk,     call_alloc_bulk,
						     call_alloc_wait,     call_alloc_wait_bulk,
						     call_take_all,       call_free,
						     call_free,           call_free_bulk,
						     call_free_bulk,      call_free_bulk,
						     call_kept_out,       call_free_nocache,
						     call_free_nocache,   call_free_and_alloc,
						     call_purge,          call_enable,
						     call_enable,         call_resize,
						     call_reap,           call_reclaim,
						     call_update,         call_flush,
						     call_refuse,         call_act_as,
						     call_act_as,         call_free_wrong,
						     call_free_wrong,     call_free_bulk_wrong,
						     call_info_wrong,     call_region_adopt_wrong,
						     call_mirror_wrong,   call_in_list,
						     call_wait_signalled, call_fault_next};

int
LLVMFuzzerInitialize(int *argc __rte_unused, char ***argv __rte_unused)
{
	process_start();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	uint64_t heap = heap_balance();

	bad_begin();
	/* What most calls need. */
	call_region_create(&input);
	if (input_byte(&input) & 1)
		call_region_mirror(&input);
	call_cache_create(&input);
	while (input.left > 0) {
		model_call();
		process_log_lines();
		calls[input_byte(&input) % RTE_DIM(calls)](&input);
		model_check();
	}
	calls_end();
	model_require(heap_balance() == heap, "%ld bytes of EAL's heap are lost",
		      (long)(heap_balance() - heap));
	model_reset();
	return 0;
}
