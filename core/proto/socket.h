/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* socket.h - where a shared collector listens unless it was told otherwise */
#ifndef TRI_CORE_SOCKET_H
#define TRI_CORE_SOCKET_H

#define TRI_SOCKET_NAME "tricolord.sock"
#define TRI_DEFAULT_SOCKET "/run/tricolor/" TRI_SOCKET_NAME

#endif
