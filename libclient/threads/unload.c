// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * unload.c - dlclose(): no thread's rseq area may name a sequence that is unmapped
 *
 * Each object that was compiled with tricolor.h says so in its last destructor, where dlclose() is
 * the C library's own, and since its other destructors may have been in a sequence.  Our dlclose()
 * does it before: it can still leave the object where it is.  At the end of the process nothing is
 * unmapped.
 */
#include <stdlib.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"
#include "fence.h"
#include "../base/real.h"
#include "../base/state.h"
#include "tricolor.h"

TRI_EXPORT int dlclose(void *handle)
{
	/*
	 * A thread that does not answer may still name a sequence in there: then the object stays.
	 */
	if (tri_is_ready() && !tri_fence_unload())
		return 0;
	return REAL(dlclose)(handle);
}

static tri_au32 exiting;

/* For dlclose(), and for a collector that would look at what was left after a kill. */
static void note_exit(void)
{
	tri_write(&exiting, 1);
	if (tri_is_ready())
		tri_write(&tri_g.view.ctl->leaving, 1);
}

/* Handlers of exit() run before the destructors of all objects. */
__attribute__((constructor)) static void await_exit(void)
{
	if (atexit(note_exit))
		tri_write(&exiting, 1);
}

TRI_EXPORT void tri__unload(void)
{
	if (tri_is_ready() && !tri_read(&exiting))
		tri_fence_unload();
}
