/* SPDX-License-Identifier: GPL-2.0-only */
/* control_server.h - answering tricolor(1): see control_server.c */
#ifndef TRICOLOR_CONTROL_SERVER_H
#define TRICOLOR_CONTROL_SERVER_H

/** Answer requests at @sock until the peer is gone, silent, or breaks the protocol. */
void control_serve(int sock);

#endif
