// SPDX-License-Identifier: LGPL-2.1-or-later
/* state.c - the variables that all of the library reads: see state.h, region.h and thread.h */
#include <time.h>

#include "../agent/agent.h"
#include "../threads/region.h"
#include "../roots/starting.h"
#include "state.h"
#include "../threads/thread.h"
#include "tricolor.h"

struct tri_global tri_g = { .list_lock = PTHREAD_MUTEX_INITIALIZER };

__thread struct tri__tls tri__tls __attribute__((tls_model("initial-exec"),
						 visibility("default"))) = {
	.caches = tri_empty_caches,
	.barrier = 1,
};

/* Empty; which one it is says why (tri_divert()). */
struct tri__cache tri_empty_caches[TRI__CACHES + TRI_DIVERTED_BOTH];

__thread bool tri_between __attribute__((tls_model("initial-exec")));
__thread bool tri_begun_here __attribute__((tls_model("initial-exec")));
__thread bool tri_is_agent __attribute__((tls_model("initial-exec")));

uint64_t tri_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}
