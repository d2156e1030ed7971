/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* internal.h - all headers of the library's own modules, for who needs many of them */
#ifndef TRI_INTERNAL_H
#define TRI_INTERNAL_H

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <ucontext.h>

#include "../core/heap/buffer.h"
#include "../core/heap/layout.h"
#include "../core/heap/sizeclass.h"
#include "../core/heap/span.h"
#include "agent.h"
#include "assist.h"
#include "attach.h"
#include "attributes.h"
#include "backing.h"
#include "shade.h"
#include "cache.h"
#include "central.h"
#include "child.h"
#include "connect.h"
#include "copying.h"
#include "coroutine.h"
#include "dumping.h"
#include "error.h"
#include "forking.h"
#include "gc.h"
#include "handshake.h"
#include "init.h"
#include "inside.h"
#include "lastexit.h"
#include "life.h"
#include "loader.h"
#include "lock.h"
#include "main_thread.h"
#include "pageheap.h"
#include "pressure.h"
#include "region.h"
#include "registers.h"
#include "root_scan.h"
#include "root_table.h"
#include "scan.h"
#include "settings.h"
#include "signals.h"
#include "stack.h"
#include "starting.h"
#include "state.h"
#include "steps.h"
#include "tasks.h"
#include "thread.h"
#include "tls.h"
#include "raw_fork.h"
#include "untouched.h"
#include "watched.h"
#include "tricolor.h"

#endif
