/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BENCH_METER_H
#define BENCH_METER_H

/* A thread that does nothing but look at the clock, until meter_stop() reports what it saw. */
void meter_start(void);
void meter_stop(void);

#endif
