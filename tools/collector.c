// SPDX-License-Identifier: GPL-2.0-only
/* collector.c - finding collectors and asking them: see collector.h */
#include "collector.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "complain.h"
#include "core/proto/socket.h"

/* How long to wait for a collector that does not answer at all. */
#define CONNECT_S 2
#define SOCKET_SUFFIX "/" TRI_SOCKET_NAME
#define ARENAS_MAX 100000

static bool set_timeout(int sock, unsigned int seconds)
{
	struct timeval t = { seconds, 0 };

	return !setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) &&
	       !setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

/* @where: a path, or @ and the name of an abstract address.  0 or an errno. */
static int connect_to(const char *where, struct collector *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t n = strlen(where);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*where != '@'));
	struct ucred cred;
	socklen_t cred_len = sizeof(cred);
	int err;

	if (n >= sizeof(addr.sun_path))
		return ENAMETOOLONG;
	memset(c, 0, sizeof(*c));
	memcpy(addr.sun_path, where, n);
	if (*where == '@')
		addr.sun_path[0] = 0;
	strcpy(c->where, where);
	c->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->sock < 0)
		return errno;
	if (!set_timeout(c->sock, CONNECT_S) || connect(c->sock, (struct sockaddr *)&addr, len) ||
	    getsockopt(c->sock, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len)) {
		err = errno;
		close(c->sock);
		return err;
	}
	c->pid = cred.pid;
	c->uid = cred.uid;
	return 0;
}

void collector_close(struct collector *c)
{
	close(c->sock);
}

static bool owner_of(pid_t pid, uid_t *uid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (pid <= 0 || stat(path, &st))
		return false;
	*uid = st.st_uid;
	return true;
}

/* Whether to talk to a collector whose socket was found and not named. */
static bool acceptable(const struct collector *c)
{
	return c->uid == 0 || c->uid == geteuid() || geteuid() == 0;
}

/* Whether to believe what the collector says about process @pid. */
static bool believable(const struct collector *c, pid_t pid)
{
	uid_t uid;

	if (c->named || c->uid == 0 || c->uid == geteuid())
		return true;
	return owner_of(pid, &uid) && uid == c->uid;
}

bool collector_private(pid_t client, struct collector *c)
{
	char where[64];

	snprintf(where, sizeof(where), "@" CONTROL_PRIVATE_PREFIX "%d", client);
	if (connect_to(where, c))
		return false;
	c->client = client;
	if (acceptable(c) && believable(c, client))
		return true;
	complain("somebody else (user %u, process %d) is at the address of the collector of "
		 "process %d", c->uid, c->pid, client);
	collector_close(c);
	return false;
}

/*
 * The name of the listening SOCK_SEQPACKET socket in a line of /proc/net/unix; NULL: the line has
 * none.
 */
static char *listening(char *line)
{
	unsigned int flags, type;
	int name = 0;

	if (sscanf(line, "%*x: %*x %*x %x %x %*x %*u %n", &flags, &type, &name) != 2 || !name ||
	    !(flags & 0x10000) || type != SOCK_SEQPACKET)
		return NULL;
	line[strcspn(line, "\n")] = 0;
	return line + name;
}

struct found {
	char (*names)[108];
	size_t n;
};

static void look_around(struct found *f, const char *named)
{
	static const char prefix[] = "@" CONTROL_PRIVATE_PREFIX;
	FILE *table = fopen("/proc/net/unix", "re");
	char line[512], *name;

	while (table && fgets(line, sizeof(line), table)) {
		size_t n;
		void *more;

		name = listening(line);
		n = name ? strlen(name) : 0;
		if (!n || n >= sizeof(f->names[0]) || !strcmp(name, named))
			continue;
		if (strncmp(name, prefix, strlen(prefix)) &&
		    (n < strlen(SOCKET_SUFFIX) ||
		     strcmp(name + n - strlen(SOCKET_SUFFIX), SOCKET_SUFFIX)))
			continue;
		more = realloc(f->names, (f->n + 1) * sizeof(f->names[0]));
		if (!more)
			break;
		f->names = more;
		strcpy(f->names[f->n++], name);
	}
	if (table)
		fclose(table);
}

int collectors_each(const char *socket, bool (*fn)(struct collector *c, void *arg), void *arg)
{
	const char *named = socket ? socket : getenv("TRICOLOR_SOCKET");
	struct found f = { NULL, 0 };
	struct collector c;
	bool more = true;
	size_t i;
	int err;

	if (!named || !*named || (!socket && !strcmp(named, "off")))
		named = TRI_DEFAULT_SOCKET;
	err = connect_to(named, &c);
	if (!err) {
		c.named = true;
		more = fn(&c, arg);
		collector_close(&c);
	} else if (socket) {
		return complain("can't reach a collector at %s: %s%s", socket, strerror(err),
				err == EPROTOTYPE ? "; that is another kind of socket" : "");
	}
	if (socket)
		return 0;
	look_around(&f, named);
	for (i = 0; more && i < f.n; i++) {
		static const char prefix[] = "@" CONTROL_PRIVATE_PREFIX;

		if (*f.names[i] == '@') {
			if (!collector_private((pid_t)atoi(f.names[i] + strlen(prefix)), &c))
				continue;
		} else if (connect_to(f.names[i], &c)) {
			/*
			 * The socket is in a folder that we may not enter, or in another mount
			 * namespace.
			 */
			continue;
		}
		more = !acceptable(&c) || fn(&c, arg);
		collector_close(&c);
	}
	free(f.names);
	return 0;
}

const char *collector_state(const struct collector *c)
{
	char path[64], text[512];
	const char *at;
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", c->pid);
	f = c->pid > 0 ? fopen(path, "re") : NULL;
	if (f) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = 0;
	at = strrchr(text, ')');
	if (!at || at[1] != ' ')
		return NULL;
	switch (at[2]) {
	case 'T':
		return "is stopped; SIGCONT lets it go on";
	case 't':
		return "is held by a debugger";
	case 'Z':
	case 'X':
		return "is ending";
	}
	return NULL;
}

struct control_request collector_request(enum control_op op)
{
	return (struct control_request){
		.type = CONTROL_TYPE,
		.version = CONTROL_VERSION,
		.op = op,
		.size = sizeof(struct control_request),
	};
}

static int fail(struct control_reply *reply, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct control_reply *reply, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(reply->text, sizeof(reply->text), fmt, args);
	va_end(args);
	return err;
}

static int receive_failed(struct control_reply *reply, const struct collector *c, ssize_t n)
{
	if (!n)
		return fail(reply, ECONNRESET,
			    "the collector at %s hung up: it ends, or has too many "
			    "connections of ours",
			    c->where);
	if (errno == EAGAIN)
		return fail(reply, ETIMEDOUT, "the collector at %s does not answer", c->where);
	return fail(reply, errno, "the collector at %s: %s", c->where, strerror(errno));
}

/*
 * Make strings of other processes safe: they end, and have no characters that control a terminal.
 */
static void clean(char *text, size_t room)
{
	size_t i;

	text[room - 1] = 0;
	for (i = 0; text[i]; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 127)
			text[i] = '?';
}

static bool take_arena(const struct collector *c, const struct control_reply *reply,
		       struct control_arena *arena, struct arena_of *out)
{
	memset(out, 0, sizeof(*out));
	clean(arena->comm, sizeof(arena->comm));
	clean(arena->cgroup, sizeof(arena->cgroup));
	clean(arena->host, sizeof(arena->host));
	clean(arena->client_cgroup, sizeof(arena->client_cgroup));
	clean(arena->limit_unseen, sizeof(arena->limit_unseen));
	out->arena = *arena;
	out->collector_pid = c->pid ? c->pid : (pid_t)reply->pid;
	out->is_private = reply->flags & CONTROL_IS_PRIVATE;
	out->is_linked = reply->flags & CONTROL_IS_LINKED;
	snprintf(out->id, sizeof(out->id), "%d.%llu", out->collector_pid,
		 (unsigned long long)arena->id);
	strcpy(out->collector, c->where);
	strcpy(out->release, reply->release);
	return believable(c, (pid_t)arena->pid);
}

int collector_ask(struct collector *c, const struct control_request *q, unsigned int seconds,
		  struct control_reply *reply, struct arena_of **arenas)
{
	struct control_arena arena;
	const char *state = collector_state(c);
	uint32_t i, n = 0;
	ssize_t got;

	*arenas = NULL;
	memset(reply, 0, sizeof(*reply));
	if (state)
		return fail(reply, ETIMEDOUT, "the collector at %s (process %d) %s", c->where,
			    c->pid, state);
	if (!set_timeout(c->sock, seconds))
		return fail(reply, errno, "setsockopt: %s", strerror(errno));
	if (send(c->sock, q, sizeof(*q), MSG_NOSIGNAL) != sizeof(*q))
		return receive_failed(reply, c, errno == EPIPE ? 0 : -1);
	got = recv(c->sock, reply, sizeof(*reply), 0);
	if (got <= 0)
		return receive_failed(reply, c, got);
	clean(reply->text, sizeof(reply->text));
	clean(reply->release, sizeof(reply->release));
	if (got < 16 || reply->type != CONTROL_TYPE)
		return fail(reply, EPROTO, "what listens at %s is no collector", c->where);
	if (reply->version != CONTROL_VERSION)
		return fail(reply, EPROTONOSUPPORT,
			    "the collector at %s speaks version %u of the "
			    "protocol, tricolor speaks %u; install the same version of both",
			    c->where, reply->version, CONTROL_VERSION);
	if (reply->error)
		return (int)reply->error;
	if (reply->arenas > ARENAS_MAX || (reply->arenas && !reply->arena_size))
		return fail(reply, EPROTO, "the collector at %s says it has %u arenas of %u bytes",
			    c->where, reply->arenas, reply->arena_size);
	*arenas = calloc(reply->arenas + 1, sizeof(**arenas));
	if (!*arenas)
		return fail(reply, ENOMEM, "no memory for %u arenas", reply->arenas);
	for (i = 0; i < reply->arenas; i++) {
		/* Fields that an older collector does not send are 0. */
		memset(&arena, 0, sizeof(arena));
		got = recv(c->sock, &arena, sizeof(arena), 0);
		if (got <= 0) {
			free(*arenas);
			*arenas = NULL;
			return receive_failed(reply, c, got);
		}
		n += take_arena(c, reply, &arena, &(*arenas)[n]);
	}
	c->doubted = reply->arenas - n;
	reply->arenas = n;
	return 0;
}
