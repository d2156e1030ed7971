// SPDX-License-Identifier: GPL-2.0-only
/* target.c - "ID or PID" on a command line, and a request about it */
#include "target.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"

#define ANSWER_S (CONTROL_SILENCE_S + 2)
#define CYCLE_S (CONTROL_CYCLE_S + 2)

/* A search for an arena, and its result. */
struct search {
	pid_t collector;		/* of an ID; 0: by PID */
	uint64_t arena;			/* number of an ID */
	pid_t pid;
	struct control_request request;
	unsigned int seconds;
	struct arena_of *answer;
	bool done;			/* an arena was found: `error` has the result */
	int error;
	char text[256];
};

static bool parse_number(const char *text, const char **end, uint64_t *n)
{
	char *e;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*n = strtoull(text, &e, 10);
	*end = e;
	return !errno && *n && *n <= INT64_MAX;
}

static bool parse(const char *text, struct search *s)
{
	const char *end;
	uint64_t first;

	if (!parse_number(text, &end, &first) || first > INT32_MAX)
		return false;
	if (!*end) {
		s->pid = (pid_t)first;
		return true;
	}
	s->collector = (pid_t)first;
	return *end == '.' && parse_number(end + 1, &end, &s->arena) && !*end;
}

/* The collector's PID.  One in another PID namespace is asked for its own number. */
static pid_t pid_of(struct collector *c)
{
	struct control_request q = collector_request(CONTROL_LIST);
	struct control_reply reply;
	struct arena_of *arenas;

	if (c->pid)
		return c->pid;
	if (collector_ask(c, &q, ANSWER_S, &reply, &arenas))
		return 0;
	free(arenas);
	return (pid_t)reply.pid;
}

/* Ask one collector.  True: look further. */
static bool try(struct collector *c, void *arg)
{
	struct search *s = arg;
	struct control_reply reply;
	struct arena_of *arenas;
	int err;

	if (s->collector ? pid_of(c) != s->collector : c->client && c->client != s->pid)
		return true;
	s->request.id = s->arena;
	s->request.pid = s->pid;
	if (!c->named && c->uid != 0 && s->request.op != CONTROL_STAT) {
		/* Its answer to this question shows whether it may be believed about that arena. */
		struct control_request look = s->request;

		look.op = CONTROL_STAT;
		err = collector_ask(c, &look, ANSWER_S, &reply, &arenas);
		free(arenas);
		if (err || !reply.arenas)
			return true;
	}
	err = collector_ask(c, &s->request, s->seconds, &reply, &arenas);
	if (err == ESRCH && !s->collector)
		return true;
	if (!err && !reply.arenas) {
		free(arenas);
		return true;
	}
	s->done = true;
	s->error = err;
	memcpy(s->text, reply.text, sizeof(s->text));
	if (!err)
		*s->answer = arenas[0];
	free(arenas);
	return false;
}

int target_ask(const char *socket, const char *text, enum control_op op, int64_t value,
	       struct arena_of *answer)
{
	struct search s = { .request = collector_request(op), .answer = answer };
	struct collector c;
	bool more = true;

	s.request.value = value;
	s.seconds = op == CONTROL_GC || op == CONTROL_FREE ? CYCLE_S :
		    op == CONTROL_MAKE_ROOM ? CYCLE_S + ANSWER_S : ANSWER_S;
	if (!parse(text, &s))
		return complain("'%s' is neither the PID of a process nor an ID such as 1234.1, "
				"which 'tricolor list' prints", text);
	/* Most programs have a collector of their own, so not all others need to be asked. */
	if (s.pid && !socket && collector_private(s.pid, &c)) {
		more = try(&c, &s);
		collector_close(&c);
	}
	if (more && collectors_each(socket, try, &s))
		return 1;
	if (!s.done && s.pid && socket)
		return complain("the collector at %s has no heap of process %d", socket, s.pid);
	if (!s.done && s.pid)
		return complain("no collector that can be asked has a heap of process %d; "
				"'tricolor list' shows those that there are", s.pid);
	if (!s.done)
		return complain("there is no collector %d that could be asked; 'tricolor list' "
				"shows those that there are", s.collector);
	if (s.error)
		return complain("%s: %s", text, s.text[0] ? s.text : strerror(s.error));
	return 0;
}
