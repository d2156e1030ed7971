/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pressure.h - how near a limit is, as the program is told: see pressure.c */
#ifndef TRI_PRESSURE_H
#define TRI_PRESSURE_H

#include <stdbool.h>

#include "attributes.h"

bool tri_refusing(void) TRI_HIDDEN;	/* refusing.c */
bool tri_refused(void) TRI_HIDDEN;
void tri_pressure_reset(void) TRI_HIDDEN;

#endif
