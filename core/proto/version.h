/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* version.h - the release as text, such as "0.1.0"; its numbers are in the public header */
#ifndef TRI_CORE_VERSION_H
#define TRI_CORE_VERSION_H

#include "tricolor.h"

#define TRI_STRING_(x) #x
#define TRI_STRING(x) TRI_STRING_(x)
#define TRI_VERSION                   \
	TRI_STRING(TRI_VERSION_MAJOR) \
	"." TRI_STRING(TRI_VERSION_MINOR) "." TRI_STRING(TRI_VERSION_PATCH)

#endif
