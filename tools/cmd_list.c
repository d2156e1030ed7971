// SPDX-License-Identifier: GPL-2.0-only
/* cmd_list.c - tricolor list */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "complain.h"
#include "show.h"
#include "target_options.h"

#define ANSWER_S 5
#define EXIT_INCOMPLETE 2		/* not every collector has answered */

struct list {
	struct arena_of *arenas;
	size_t n;
	unsigned int hidden, collectors;
	struct silent_collector *silent;
	size_t nsilent;
};

/* Note a collector that has not answered; the others are listed all the same.  False: no memory. */
static bool note_silent(struct list *l, const struct collector *c, const char *why)
{
	struct silent_collector *more = realloc(l->silent, (l->nsilent + 1) * sizeof(*more)), *s;

	if (!more)
		return false;
	l->silent = more;
	s = &more[l->nsilent++];
	s->pid = c->pid;
	s->client = c->client;
	snprintf(s->where, sizeof(s->where), "%s", c->where);
	snprintf(s->why, sizeof(s->why), "%.*s", (int)sizeof(s->why) - 1, why);
	return true;
}

static bool add(struct collector *c, void *arg)
{
	struct list *l = arg;
	struct control_request q = collector_request(CONTROL_LIST);
	struct control_reply reply;
	struct arena_of *arenas, *more;
	const char *state = collector_state(c);
	int err;

	l->collectors++;
	if (state)
		return note_silent(l, c, state);
	err = collector_ask(c, &q, ANSWER_S, &reply, &arenas);
	if (err) {
		state = collector_state(c);
		return note_silent(l, c,
				   state ? state :
				   err == ETIMEDOUT ?
					   "has not answered for five seconds" :
				   err == ECONNRESET ?
					   "hung up: it ends, or has too many connections of ours" :
				   reply.text[0] ? reply.text :
						   strerror(err));
	}
	l->hidden += reply.hidden;
	if (c->doubted)
		complain(
			"user %u's collector at %s says that it has %u heaps of others; to believe "
			"it, name it with --socket",
			c->uid, c->where, c->doubted);
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

/* Whether the policy of its collector has listed the same heap, which is shown there then. */
static bool is_listed(const struct list *l, const struct arena_of *a)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!l->arenas[i].is_linked && l->arenas[i].arena.pid == a->arena.pid)
			return true;
	return false;
}

static void drop_doubles(struct list *l)
{
	size_t i, n = 0;

	for (i = 0; i < l->n; i++) {
		struct arena_of a = l->arenas[i];

		if (!a.is_linked || !is_listed(l, &a))
			l->arenas[n++] = a;
	}
	l->n = n;
}

int cmd_list(int argc, char **argv)
{
	struct target_options o = { .may_wait = false };
	struct list l = { 0 };

	target_options_parse(&o, 0, NULL,
			     "Heaps on this system that you may see: your own, and for root all.",
			     argc, argv);
	if (collectors_each(o.socket, add, &l))
		return 1;
	drop_doubles(&l);
	if (l.n)
		qsort(l.arenas, l.n, sizeof(*l.arenas), by_pid);
	if (o.json) {
		show_list_json(l.arenas, l.n, l.hidden, l.silent, l.nsilent);
	} else if (l.n) {
		show_table(l.arenas, l.n);
	} else {
		printf("no heaps%s\n", l.collectors ? "" : ", and no collectors");
	}
	if (!o.json && l.hidden)
		printf("%u more of other users\n", l.hidden);
	if (!o.json)
		show_silent(l.silent, l.nsilent);
	free(l.arenas);
	free(l.silent);
	return l.nsilent ? EXIT_INCOMPLETE : 0;
}
