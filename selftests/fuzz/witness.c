// SPDX-License-Identifier: GPL-2.0-only
/*
 * witness.c - the well-behaved client beside hostile ones
 *
 *	witness SECONDS
 *
 * Tends a forest (integration/forest.h) and wants to be collected at least once in every 10 seconds
 * (an event that it waits for, not a measure of speed), by the same collector, without a loss.
 */
#include "lib/forest.h"

int main(int argc, char **argv)
{
	struct tri_stats s = { .size = sizeof(s) };
	uint64_t end, cycles = 0, since, worst = 0;
	static struct forest f;
	bool starved = false;

	if (argc != 2)
		return 2;
	ksft_print_header();
	ksft_set_plan(3);
	f.large_one_in = 300;
	if (!forest_init(&f, 500, 4711))
		ksft_exit_fail_msg("no heap: %s\n", tri_error());
	since = now_ns();
	end = since + strtoull(argv[1], NULL, 10) * 1000000000;
	while (now_ns() < end && !starved) {
		int i;

		for (i = 0; i < 200; i++)
			if (!forest_step(&f))
				ksft_exit_fail_msg("no memory: %s\n", tri_error());
		tri_read_stats(&s);
		if (now_ns() - since > worst)
			worst = now_ns() - since;
		if (s.cycles != cycles) {
			cycles = s.cycles;
			since = now_ns();
		}
		starved = now_ns() - since > PATIENCE_NS;
	}
	forest_check_all(&f);
	ksft_print_msg("%llu cycles, %.0f ms at most from one to the next, %llu steps\n",
		       (unsigned long long)cycles, (double)worst / 1e6, (unsigned long long)f.ops);
	ksft_test_result(cycles && !starved, "the witness is collected\n");
	ksft_test_result(!s.reconnects, "by one and the same collector\n");
	ksft_test_result(!f.errors, "and loses nothing\n");
	ksft_finished();
}
