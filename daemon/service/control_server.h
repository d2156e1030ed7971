/* SPDX-License-Identifier: GPL-2.0-only */
/* control_server.h - answering tricolor(1) */
#ifndef TRICOLOR_CONTROL_SERVER_H
#define TRICOLOR_CONTROL_SERVER_H

/** Answer the requests that come at @sock until the peer is gone, silent, or makes no sense. */
void control_serve(int sock);

#endif
