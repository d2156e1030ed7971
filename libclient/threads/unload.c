// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * unload.c - dlclose(): no thread's rseq area may name a sequence that is unmapped
 *
 * The library's dlclose() makes sure of it before it unloads an object, and leaves the object
 * mapped if a thread does not answer.  Moreover each object that was compiled with tricolor.h calls
 * tri__unload() in its last destructor.  That is needed where the program calls the C library's own
 * dlclose(), and because the object's other destructors may have run a sequence.  At the end of the
 * process nothing is unmapped.
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
	 * If a thread does not answer, its rseq area may name a sequence in the object, which is
	 * not unmapped then.
	 */
	if (tri_is_ready() && !tri_fence_unload())
		return 0;
	return REAL(dlclose)(handle);
}

static tri_au32 exiting;

/*
 * The process exits.  tri__unload() has nothing to do from now on, and the collector need not look
 * whether the process was killed.
 */
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
