/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BENCH_METER_H
#define BENCH_METER_H

/*
 * Start a thread that does nothing but read the clock, until meter_stop() reports what it has seen.
 */
void meter_start(void);
void meter_stop(void);

#endif
