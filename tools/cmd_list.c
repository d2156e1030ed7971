// SPDX-License-Identifier: GPL-2.0-only
/* cmd_list.c - tricolor list */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "show.h"
#include "target_options.h"

#define ANSWER_S 5

struct list {
	struct arena_of *arenas;
	size_t n;
	unsigned int hidden, collectors, failed;
};

static bool add(struct collector *c, void *arg)
{
	struct list *l = arg;
	struct control_request q = collector_request(CONTROL_LIST);
	struct control_reply reply;
	struct arena_of *arenas, *more;
	int err = collector_ask(c, &q, ANSWER_S, &reply, &arenas);

	l->collectors++;
	if (err) {
		/* The others are worth a list. */
		complain("%s", reply.text[0] ? reply.text : strerror(err));
		l->failed++;
		return true;
	}
	l->hidden += reply.hidden;
	if (c->doubted)
		complain("user %u's collector at %s says that it has %u heaps of others; to believe it, "
			 "name it with --socket", c->uid, c->where, c->doubted);
	more = realloc(l->arenas, (l->n + reply.arenas + 1) * sizeof(*more));
	if (more) {
		l->arenas = more;
		memcpy(more + l->n, arenas, reply.arenas * sizeof(*more));
		l->n += reply.arenas;
	}
	free(arenas);
	return more != NULL;
}

static int by_pid(const void *a, const void *b)
{
	const struct arena_of *x = a, *y = b;

	if (x->arena.pid != y->arena.pid)
		return x->arena.pid < y->arena.pid ? -1 : 1;
	return strcmp(x->id, y->id);
}

int cmd_list(int argc, char **argv)
{
	struct target_options o;
	struct list l = { 0 };

	target_options_parse(&o, 0, NULL,
			     "Heaps on this system that you may see: your own, and for root all.",
			     argc, argv);
	if (collectors_each(o.socket, add, &l))
		return 1;
	if (l.n)
		qsort(l.arenas, l.n, sizeof(*l.arenas), by_pid);
	if (o.json) {
		show_list_json(l.arenas, l.n, l.hidden);
	} else if (l.n) {
		show_table(l.arenas, l.n);
	} else {
		printf("no heaps%s\n", l.collectors ? "" : ", and no collectors");
	}
	if (!o.json && l.hidden)
		printf("%u more of other users\n", l.hidden);
	free(l.arenas);
	return l.failed ? 1 : 0;
}
