/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * signals.h - the library's two signals: who handles them, sending them, and what a thread answers
 *
 * disposition.c shares them with the program; signal.c has the handler.  tri_signal_handler(),
 * tri_signal_chain() and tri_interrupted() run in signal handlers, and the senders may.
 */
#ifndef TRI_SIGNALS_H
#define TRI_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../core/heap/layout.h"
#include "attributes.h"

struct tri_thread;

/* ---- signal_number.c ---- */
extern tri_au32 tri_signal_numbers[2] TRI_HIDDEN;	/* 0: not chosen yet */
int tri_signal_number(int which) TRI_HIDDEN;
void tri_signals_strip(sigset_t *set) TRI_HIDDEN;

/* ---- disposition.c ---- */
int tri_signal_install(void (*fn)(int sig, siginfo_t *info, void *context)) TRI_HIDDEN;
void tri_signal_chain(int sig, siginfo_t *info, void *context) TRI_HIDDEN;
int tri_real_sigaction(int sig, const struct sigaction *act, struct sigaction *old) TRI_HIDDEN;

/* ---- sending.c ---- */
int tri_signal_send(struct tri_thread *t, bool again) TRI_HIDDEN;
int tri_signal_send_with(pid_t tid, void *value) TRI_HIDDEN;
void tri_signal_self(struct tri_thread *t) TRI_HIDDEN;
void tri_signal_wake(pid_t agent) TRI_HIDDEN;

/* ---- signal.c ---- */
void tri_signal_handler(int sig, siginfo_t *info, void *context) TRI_HIDDEN;
void tri_answer(struct tri_thread *t) TRI_HIDDEN;
void tri_interrupted(uint64_t began_ns) TRI_HIDDEN;

#endif
