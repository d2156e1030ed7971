// SPDX-License-Identifier: GPL-2.0-only

module tricolor/bench

go 1.19
