// SPDX-License-Identifier: GPL-2.0-only
/* settings.c - the settings of an arena, and who has chosen them: see settings.h */
#include "settings.h"

#include <linux/tricolor.h>
#include <stdatomic.h>

#include "arena.h"
#include "daemon/process/config.h"
#include "device.h"
#include "pacing.h"
#include "publish.h"
#include "tricolor.h"

void settings_set(struct arena *a, enum board_order kind, int64_t value)
{
	struct tri_ctl *ctl = a->view.ctl;

	if (kind == ORDER_GC_PERCENT) {
		a->settings.gc_percent_default = false;
		tri_write(&ctl->gc_percent, (int32_t)value);
	} else {
		a->settings.limit_default = false;
		tri_write(&ctl->memory_limit_bytes, value);
	}
	pacing_update(a);
	publish_figures(a);
}

void settings_write_defaults(struct board *b)
{
	atomic_store(&b->defaults.gc_percent, config_gc_percent());
	atomic_store(&b->defaults.memory_limit_bytes, config_memory_limit_bytes());
	atomic_store(&b->defaults.limit_policy, config_limit_policy());
}

void settings_learn_defaults(struct arena *a)
{
	struct board *b = a->orders[FROM_POLICY].board;
	int32_t percent;
	int64_t limit;

	if (!b) {
		a->settings.defaults =
			(struct arena_defaults){ config_gc_percent(), config_memory_limit_bytes(),
						 config_limit_policy() };
		return;
	}
	percent = atomic_load(&b->defaults.gc_percent);
	limit = atomic_load(&b->defaults.memory_limit_bytes);
	if (percent >= -1 && percent <= CONFIG_GC_PERCENT_MAX)
		a->settings.defaults.gc_percent = percent;
	if (limit >= 0 || limit == TRI_LIMIT_AUTO)
		a->settings.defaults.memory_limit_bytes = limit;
	a->settings.defaults.limit_policy =
		atomic_load(&b->defaults.limit_policy) == TRI_LIMIT_FAIL_FAST ?
			TRI_LIMIT_FAIL_FAST :
			TRI_LIMIT_CONTINUE;
}

void settings_init(struct arena *a, uint64_t unchosen)
{
	struct tri_ctl *ctl = a->view.ctl;

	settings_learn_defaults(a);
	a->settings.gc_percent_seen = tri_read(&ctl->gc_percent);
	a->settings.limit_seen = tri_read(&ctl->memory_limit_bytes);
	a->settings.policy_seen = tri_read(&ctl->limit_policy);
	a->settings.gc_percent_default = unchosen & TRI_HELLO_DEFAULT_GC_PERCENT &&
				a->settings.gc_percent_seen == CONFIG_GC_PERCENT;
	a->settings.limit_default = unchosen & TRI_HELLO_DEFAULT_MEMORY_LIMIT &&
				    a->settings.limit_seen == TRI_LIMIT_AUTO;
	a->settings.policy_default = unchosen & TRI_HELLO_DEFAULT_LIMIT_POLICY &&
			    a->settings.policy_seen == TRI_LIMIT_CONTINUE;
}

void settings_apply_defaults(struct arena *a)
{
	struct tri_ctl *ctl = a->view.ctl;
	int32_t percent = a->settings.defaults.gc_percent;
	int64_t limit = a->settings.defaults.memory_limit_bytes;
	uint32_t policy = a->settings.defaults.limit_policy;

	if (a->settings.gc_percent_default) {
		a->settings.gc_percent_default = atomic_compare_exchange_strong(
			&ctl->gc_percent, &a->settings.gc_percent_seen, percent);
		a->settings.gc_percent_seen = percent;
	}
	if (a->settings.limit_default) {
		a->settings.limit_default = atomic_compare_exchange_strong(&ctl->memory_limit_bytes,
								  &a->settings.limit_seen, limit);
		a->settings.limit_seen = limit;
	}
	if (a->settings.policy_default) {
		a->settings.policy_default = atomic_compare_exchange_strong(
			&ctl->limit_policy, &a->settings.policy_seen, policy);
		a->settings.policy_seen = policy;
	}
	pacing_update(a);
	publish_figures(a);
}

void settings_take_tunables(struct arena *a)
{
	struct tricolor_tunables t;

	if (!device_tunables(a, &t))
		return;
	if (t.changed & TRICOLOR_TUNABLE_GC_PERCENT)
		settings_set(a, ORDER_GC_PERCENT, t.gc_percent);
	if (t.changed & TRICOLOR_TUNABLE_MEMORY_LIMIT)
		settings_set(a, ORDER_MEMORY_LIMIT, t.memory_limit_bytes);
}
