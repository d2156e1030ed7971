// SPDX-License-Identifier: GPL-2.0-only

package main

import "math/bits"

// The histogram of ../c/latency.h.
type latency struct {
	count [1920]int
	total int
	maxNs int64
}

func (l *latency) note(ns int64) {
	shift := 0
	if ns >= 64 {
		shift = 58 - bits.LeadingZeros64(uint64(ns))
	}
	l.count[shift<<5+int(ns>>shift)]++
	l.total++
	if ns > l.maxNs {
		l.maxNs = ns
	}
}

func (l *latency) add(from *latency) {
	for i, n := range from.count {
		l.count[i] += n
	}
	l.total += from.total
	if from.maxNs > l.maxNs {
		l.maxNs = from.maxNs
	}
}

// The time that one in oneIn is above of.
func (l *latency) exceededNs(oneIn int) int64 {
	above := 0
	for i := len(l.count) - 1; i >= 0; i-- {
		above += l.count[i]
		if above <= l.total/oneIn {
			continue
		}
		shift := 0
		if i >= 64 {
			shift = i>>5 - 1
		}
		end := int64(i-shift<<5+1)<<shift - 1
		if end > l.maxNs {
			end = l.maxNs
		}
		return end
	}
	return 0
}
