// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "arguments.h"

uint64_t argument_number(struct argp_state *state, const char *what, const char *arg,
			 uint64_t least, uint64_t most)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(arg, &end, 10);
	if (errno || end == arg || *end || arg[0] == '-' || value < least || value > most)
		argp_error(state, "%s must be a number from %llu to %llu, not '%s'", what,
			   (unsigned long long)least, (unsigned long long)most, arg);
	return value;
}

uint64_t argument_size(struct argp_state *state, const char *what, const char *arg, uint64_t most)
{
	static const struct {
		const char *suffix;
		unsigned int shift;
	} unit[] = { { "", 0 }, { "B", 0 }, { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 } };
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(arg, &end, 10);
	for (size_t i = 0; i < sizeof(unit) / sizeof(unit[0]); i++)
		if (!errno && end != arg && arg[0] != '-' && value &&
		    value <= most >> unit[i].shift && !strcasecmp(end, unit[i].suffix))
			return (uint64_t)value << unit[i].shift;
	argp_error(state, "%s must be a size such as 24MiB, at most %lluMiB, not '%s'", what,
		   (unsigned long long)most >> 20, arg);
	return 0;
}
