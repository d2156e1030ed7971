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
#include "agent/agent.h"
#include "program/assist.h"
#include "start/attach.h"
#include "base/attributes.h"
#include "heap/backing.h"
#include "roots/shade.h"
#include "heap/cache.h"
#include "heap/central.h"
#include "start/child.h"
#include "agent/connect.h"
#include "heap/copying.h"
#include "roots/coroutine.h"
#include "heap/dumping.h"
#include "base/error.h"
#include "start/forking.h"
#include "program/gc.h"
#include "agent/handshake.h"
#include "start/init.h"
#include "program/inside.h"
#include "threads/lastexit.h"
#include "threads/life.h"
#include "roots/loader.h"
#include "base/lock.h"
#include "threads/main_thread.h"
#include "heap/pageheap.h"
#include "limits/pressure.h"
#include "threads/region.h"
#include "roots/registers.h"
#include "roots/root_scan.h"
#include "roots/root_table.h"
#include "roots/scan.h"
#include "base/settings.h"
#include "base/signals.h"
#include "roots/stack.h"
#include "roots/starting.h"
#include "base/state.h"
#include "agent/steps.h"
#include "threads/tasks.h"
#include "threads/thread.h"
#include "roots/tls.h"
#include "threads/raw_fork.h"
#include "limits/untouched.h"
#include "base/watched.h"
#include "tricolor.h"

#endif
