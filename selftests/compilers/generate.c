// SPDX-License-Identifier: GPL-2.0-only
/*
 * generate.c - random loops over objects, as C
 *
 *	generate SEED COUNT >loops.c
 *
 * A function gets one to three objects and does to them what programs do: it walks them up and
 * down, by index and by pointer, with strides, biased indices (p[i - k] with i from k on), negative
 * indices from the middle, nested and unrolled by hand; reads, writes, copies; follows pointers;
 * and calls something in between, or not.  All indices are in range by construction, and nothing is
 * undefined in C but what a compiler can't see.  (The bias of an index is the program's, the
 * pointers are good.)
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "draw.h"
#include "loops.h"

static uint64_t state;
static int depth, names, lines;
static bool calls;			/* this function has safepoints */

struct object {
	enum kind kind;
	char name[16];			/* its elements: p0, or p0->v */
};

/* An element in reach: @text is an lvalue of the object's element type. */
struct access {
	const struct object *object;
	char text[160];
};

static struct object objects[3];
static int nobjects;
static struct access in_reach[24];
static int nin_reach;

/* The type of an element. */
static const char *const type_of[] = {
	[LONGS] = "long",	[INTS] = "int",
	[SHORTS] = "short",	[BYTES] = "unsigned char",
	[DOUBLES] = "double",	[ONES] = "struct one",
	[TWOS] = "struct two",	[THREES] = "struct three",
	[TRIPLES] = "struct triple",	[FIVES] = "struct five",
	[MATRIX] = "row",	[LONG_VECTOR] = "long",
	[TWO_VECTOR] = "struct two",	[FIVE_VECTOR] = "struct five",
	[TABLE] = "row",	[POINTERS] = "link",
	[LIST] = "struct node",
};

/* The type of the whole, where that is another. */
static const char *const whole_of[LIST + 1] = {
	[LONG_VECTOR] = "struct long_vector",
	[TWO_VECTOR] = "struct two_vector",
	[FIVE_VECTOR] = "struct five_vector",
	[TABLE] = "struct table",
};

/* Elements that C can assign, and nothing that must stay a good pointer. */
static bool is_copied(enum kind kind)
{
	return kind != MATRIX && kind != TABLE && kind != POINTERS && kind != LIST;
}

static unsigned int below(unsigned int n)
{
	return (unsigned int)draw_below(&state, n);
}

static bool chance(unsigned int percent)
{
	return below(100) < percent;
}

__attribute__((format(printf, 1, 2)))
static void line(const char *format, ...)
{
	va_list args;
	int i;

	for (i = 0; i <= depth; i++)
		putchar('\t');
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	lines++;
}

__attribute__((format(printf, 2, 3)))
static void reach(const struct object *o, const char *format, ...)
{
	struct access *a = &in_reach[nin_reach];
	va_list args;

	if (nin_reach == sizeof(in_reach) / sizeof(in_reach[0]))
		return;
	a->object = o;
	va_start(args, format);
	vsnprintf(a->text, sizeof(a->text), format, args);
	va_end(args);
	nin_reach++;
}

/* A number in an element that is in reach, as an lvalue. */
static void scalar(char *to, size_t size, const struct access *a)
{
	switch (a->object->kind) {
	case ONES:
		snprintf(to, size, "%s.%c", a->text, 'a' + below(6));
		break;
	case TWOS: case TWO_VECTOR:
		snprintf(to, size, "%s.%c", a->text, 'a' + below(5));
		break;
	case TRIPLES:
		snprintf(to, size, "%s.%c", a->text, 'x' + below(3));
		break;
	case FIVES: case FIVE_VECTOR:
		snprintf(to, size, "%s.%c", a->text, 'a' + below(7));
		break;
	case THREES:
		if (chance(50))
			snprintf(to, size, "%s.v[%u]", a->text, below(5));
		else
			snprintf(to, size, "%s.in[%u].%c", a->text, below(3), 'x' + below(2));
		break;
	case MATRIX: case TABLE:
		if (chance(30))
			snprintf(to, size, "%s[m - %d]", a->text, BIAS - (int)below(6));
		else
			snprintf(to, size, "%s[%u]", a->text, below(6));
		break;
	case POINTERS:
		if (chance(50))
			snprintf(to, size, "%s->v", a->text);
		else
			snprintf(to, size, "%s->w[%u]", a->text, below(4));
		break;
	case LIST:
		snprintf(to, size, chance(50) ? "%s.v" : "%s.w[%u]", a->text, below(4));
		break;
	default:
		snprintf(to, size, "%s", a->text);
		break;
	}
}

static const struct access *any(void)
{
	return &in_reach[below((unsigned int)nin_reach)];
}

static void any_scalar(char *to, size_t size)
{
	scalar(to, size, any());
}

static void safepoint_here(void)
{
	if (calls)
		line("s += safepoint(s);");
}

static void statement(bool in_loop)
{
	const struct access *a, *b;
	char x[200], y[200], z[200];
	int id;

	any_scalar(x, sizeof(x));
	any_scalar(y, sizeof(y));
	any_scalar(z, sizeof(z));
	switch (below(16)) {
	case 0: case 1: case 2:
		line("s += R(%s);", x);
		break;
	case 3:
		line("s = s * 31 + R(%s) * 3;", x);
		break;
	case 4:
		line("s ^= R(%s) + R(%s);", x, y);
		break;
	case 5:
		line("%s = s & 63;", x);
		break;
	case 6:
		line("%s = R(%s) + 1;", x, y);
		break;
	case 7:
		line("if (R(%s) & 1)", x);
		line("\ts += R(%s);", y);
		line("else");
		line("\ts -= R(%s);", z);
		break;
	case 8:
		if (in_loop) {
			line("if (R(%s) == 123456789)", x);
			line("\tbreak;");
		}
		break;
	case 9:
		id = names++;
		line("unsigned long x%d = R(%s);", id, x);
		safepoint_here();
		line("s += x%d * 5 + R(%s);", id, y);
		break;
	case 10:
		/* Elements as a whole. */
		a = any();
		b = any();
		if (!strcmp(type_of[a->object->kind], type_of[b->object->kind]) &&
		    is_copied(a->object->kind))
			line("%s = %s;", a->text, b->text);
		break;
	case 11:
		a = any();
		b = any();
		if (!strcmp(type_of[a->object->kind], type_of[b->object->kind]) &&
		    is_copied(a->object->kind)) {
			id = names++;
			line("%s *r%d = s & 1 ? &%s : &%s;", type_of[a->object->kind], id, a->text,
			     b->text);
			safepoint_here();
			line("s += memcmp(r%d, &%s, sizeof(*r%d)) != 0;", id, b->text, id);
		}
		break;
	case 12:
		line("s += R(%s) * R(%s);", x, y);
		break;
	case 13:
		line("s = R(%s) > R(%s) ? s + R(%s) : s;", x, y, z);
		break;
	default:
		safepoint_here();
		break;
	}
}

static void body(bool in_loop);

/* What an index is counted from. */
static const char *bias(void)
{
	static const char *const biases[] = { "0",     "0",	  "k",	  "k", "7",
					      "-1000", "1048576", "(-k)", "m" };

	return biases[below(sizeof(biases) / sizeof(biases[0]))];
}

/*
 * The index that goes with a counter from the bias @from on; m is BIAS, which a compiler can't
 * know.
 */
static void index_up(char *to, size_t size, int id, const char *from)
{
	if (!strcmp(from, "0"))
		snprintf(to, size, "i%d", id);
	else if (!strcmp(from, "m") && chance(70))
		snprintf(to, size, "i%d - %d", id, BIAS);
	else
		snprintf(to, size, "i%d - %s", id, from);
}

static const struct object *array(void)
{
	const struct object *o;

	do
		o = &objects[below((unsigned int)nobjects)];
	while (o->kind == LIST);
	return o;
}

static bool has_array(void)
{
	int i;

	for (i = 0; i < nobjects; i++)
		if (objects[i].kind != LIST)
			return true;
	return false;
}

static void walk_list(void)
{
	int i, id = names++, saved = nin_reach;

	for (i = 0; i < nobjects; i++) {
		if (objects[i].kind != LIST)
			continue;
		line("for (struct node *q%d = %s; q%d; q%d = q%d->next) {", id, objects[i].name, id,
		     id, id);
		depth++;
		reach(&objects[i], "(*q%d)", id);
		body(true);
		depth--;
		line("}");
		nin_reach = saved;
		return;
	}
}

static void loop_by_index(void)
{
	static const char *const counters[] = { "long", "long", "int", "unsigned long" };
	const char *from = bias(), *counter = counters[below(4)];
	const struct object *o;
	int i, id = names++, saved = nin_reach, unrolled = 1;
	unsigned int form = below(6);
	char up[80];

	index_up(up, sizeof(up), id, from);
	/* Counters that wrap are the compiler's business where the language says so. */
	if (!strcmp(counter, "unsigned long") && form == 1)
		counter = "long";
	switch (form) {
	case 0: case 2:
		line("for (%s i%d = %s; i%d != %s + n; i%d++) {", counter, id, from, id, from, id);
		break;
	case 1:
		line("for (%s i%d = %s + n - 1; i%d >= %s; i%d--) {", counter, id, from, id, from,
		     id);
		break;
	case 3:
		unrolled = 2 + (int)below(3);
		line("for (%s i%d = 0; i%d + %d <= n; i%d += %d) {", "long", id, id, unrolled, id,
		     unrolled);
		break;
	case 4:
		unrolled = 2 + (int)below(3);
		line("for (%s i%d = 0; i%d < n / %d; i%d++) {", "long", id, id, unrolled, id);
		break;
	case 5:
		line("long i%d = %s;", id, from);
		line("do {");
		break;
	}
	depth++;
	for (i = 0; i < 1 + (int)below(3); i++) {
		o = array();
		if (form == 3)
			reach(o, "%s[i%d + %u]", o->name, id, below((unsigned int)unrolled));
		else if (form == 4)
			reach(o, "%s[i%d * %d + %u]", o->name, id, unrolled,
			      below((unsigned int)unrolled));
		else if (form == 2 && chance(70))
			reach(o, "%s[%s + n - 1 - i%d]", o->name, from, id);
		else
			reach(o, "%s[%s]", o->name, up);
	}
	body(true);
	depth--;
	if (form == 5)
		line("} while (++i%d < %s + n);", id, from);
	else
		line("}");
	nin_reach = saved;
}

static void loop_by_pointer(void)
{
	const struct object *o = array();
	const char *type = type_of[o->kind];
	int id = names++, saved = nin_reach;
	unsigned int form = below(5);

	switch (form) {
	case 0:
		line("for (%s *q%d = %s, *z%d = %s + n; q%d < z%d; q%d++) {", type, id, o->name, id,
		     o->name, id, id, id);
		break;
	case 1:
		line("%s *q%d = %s + n;", type, id, o->name);
		line("while (q%d-- > %s) {", id, o->name);
		break;
	case 2:
		line("%s *q%d = %s + n / 2;", type, id, o->name);
		line("for (long i%d = -(n / 2); i%d < n - n / 2; i%d++) {", id, id, id);
		break;
	case 3:
		line("%s *q%d = %s + (n - 1);", type, id, o->name);
		line("for (long i%d = n - 1; i%d >= 0; i%d--) {", id, id, id);
		break;
	case 4:
		line("%s *q%d = %s;", type, id, o->name);
		line("for (long i%d = 0; i%d < n; i%d++, q%d++) {", id, id, id, id);
		break;
	}
	depth++;
	if (form == 2)
		reach(o, "q%d[i%d]", id, id);
	else if (form == 3)
		reach(o, "q%d[-i%d]", id, id);
	else
		reach(o, "(*q%d)", id);
	if (form == 4 && chance(50))
		reach(o, "q%d[-i%d]", id, id);
	body(true);
	depth--;
	line("}");
	nin_reach = saved;
}

/* Elements by numbers that are in another object, and rows. */
static void loop_inside(void)
{
	int i, id = names++, saved = nin_reach;
	const struct object *o = array();

	for (i = 0; i < nobjects; i++)
		if (objects[i].kind == INTS || objects[i].kind == LONGS || objects[i].kind == BYTES)
			break;
	line("for (long i%d = 0; i%d < n; i%d++) {", id, id, id);
	depth++;
	if (i < nobjects)
		reach(o, "%s[%s[i%d] & 7]", o->name, objects[i].name, id);
	else
		reach(o, "%s[i%d]", o->name, id);
	if (o->kind == MATRIX || o->kind == TABLE) {
		line("for (long j%d = 0; j%d < 6; j%d++)", id, id, id);
		line("\ts += %s[i%d][j%d];", o->name, id, id);
	}
	body(true);
	depth--;
	line("}");
	nin_reach = saved;
}

/*
 * No loop: elements at a distance from one that is far from the object's start.  Where all are,
 * nothing needs the start itself after the first address is known; and a copy of an element that
 * is larger than a register is more than one access.
 */
static void straight(void)
{
	static const char *const far[] = {
		"%s[m - %d]", "%s[m - %d]", "%s[m + k - k - %d]", "%s[(int)m - %d]",
		"%s[(unsigned int)m - %du]",
	};
	const struct object *o = array();
	const struct access *a, *b;
	bool only_far = chance(50);
	int saved = nin_reach;
	unsigned int i;

	/* Only these: the elements of loops around are left out. */
	if (only_far)
		nin_reach = 0;
	for (i = 0; i < 4; i++) {
		if (i == 2)
			o = array();
		reach(o, far[below(5)], o->name, BIAS - (int)below(8));
		if (!only_far)
			reach(o, "%s[k - n + (n - k) + %u]", o->name, below(8));
	}
	for (i = 0; i < 3 + below(6); i++) {
		a = any();
		b = any();
		if (chance(30) && is_copied(a->object->kind) &&
		    !strcmp(type_of[a->object->kind], type_of[b->object->kind]))
			line("%s = %s;", a->text, b->text);
		else
			statement(false);
	}
	nin_reach = saved;
}

/* Each round works on what the one before it did. */
static void recurrence(void)
{
	const struct object *o = array();
	const char *from = bias();
	int id = names++, saved = nin_reach, back = 1 + (int)below(2);
	char up[80];

	index_up(up, sizeof(up), id, from);
	line("for (long i%d = %s + %d; i%d < %s + n; i%d++) {", id, from, back, id, from, id);
	depth++;
	reach(o, "%s[%s]", o->name, up);
	reach(o, "%s[%s - 1]", o->name, up);
	reach(o, "%s[%s - %d]", o->name, up, back);
	body(true);
	depth--;
	line("}");
	nin_reach = saved;
}

static void body(bool in_loop)
{
	unsigned int i, n = 1 + below(3);

	for (i = 0; i < n; i++) {
		if (!nin_reach || (depth < 2 && lines < 12 && chance(20))) {
			if (!has_array())
				walk_list();
			else
				switch (below(11)) {
				case 0: case 1: case 2:
					loop_by_index();
					break;
				case 3: case 4:
					loop_by_pointer();
					break;
				case 5:
					straight();
					break;
				case 6:
					loop_inside();
					break;
				case 7:
					walk_list();
					break;
				case 8: case 9:
					straight();
					break;
				case 10:
					recurrence();
					break;
				}
		} else if (nin_reach) {
			statement(in_loop);
		}
	}
}

static void function(unsigned int number)
{
	const char *whole;
	int i;

	names = lines = 0;
	nin_reach = 0;
	depth = 0;
	calls = chance(60);
	nobjects = 1 + (int)below(3);
	printf("static OPAQUE unsigned long f%u(", number);
	for (i = 0; i < 3; i++) {
		objects[i].kind = i < nobjects ? LONGS + (enum kind)below(LIST) : NONE;
		whole = whole_of[objects[i].kind];
		snprintf(objects[i].name, sizeof(objects[i].name), whole ? "p%d->v" : "p%d", i);
		if (!whole)
			whole = i < nobjects ? type_of[objects[i].kind] : "void";
		printf("%s *p%d, ", whole, i);
	}
	printf("long n, long k, long m)\n{\n\tunsigned long s = 1;\n\n");
	body(false);
	if (chance(50))
		body(false);
	printf("\treturn s;\n}\n\n");
}

int main(int argc, char **argv)
{
	unsigned int i, count;
	enum kind *kinds;			/* three of each function */
	int k;

	if (argc != 3) {
		fprintf(stderr, "usage: generate SEED COUNT\n");
		return 2;
	}
	state = strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15ull + 1;
	count = (unsigned int)strtoul(argv[2], NULL, 0);
	kinds = calloc(count, 3 * sizeof(*kinds));
	if (!kinds)
		return 2;
	printf("/* generate %s %s */\n#include \"loops.h\"\n\ntypedef long row[6];\n"
	       "typedef struct node *link;\n\n", argv[1], argv[2]);
	for (i = 0; i < count; i++) {
		function(i);
		for (k = 0; k < 3; k++)
			kinds[3 * i + k] = objects[k].kind;
	}
	printf("const struct loop loops[] = {\n");
	for (i = 0; i < count; i++)
		printf("\t{ (loop_fn *)f%u, { %d, %d, %d } },\n", i, kinds[3 * i],
		       kinds[3 * i + 1], kinds[3 * i + 2]);
	printf("};\nconst unsigned int nloops = %u;\n", count);
	free(kinds);
	return fflush(stdout) || ferror(stdout);
}
