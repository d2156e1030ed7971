// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"math"
	"sort"
)

func ringInsert(slot *[]byte, number, bytes int) {
	message := make([]byte, bytes)
	message[0] = byte(number)
	for n := 1; n < bytes; n *= 2 {
		copy(message[n:], message[:n])
	}
	*slot = message
}

func ringRun() {
	slots, messages, bytes := param("slots"), param("messages"), param("bytes")
	if messages == 0 || messages < slots {
		fail("messages below slots")
	}
	ring := make([][]byte, slots)
	latencyNs := make([]uint32, messages)
	for i := range latencyNs {
		latencyNs[i] = math.MaxUint32
	}

	start := nowNs()
	for i := 0; i < messages; i++ {
		before := nowNs()
		ringInsert(&ring[i%slots], i, bytes)
		took := nowNs() - before
		if took > math.MaxUint32 {
			took = math.MaxUint32
		}
		latencyNs[i] = uint32(took)
	}
	report("ns", float64(nowNs()-start)/float64(messages))

	for i := messages - slots; i < messages; i++ {
		for _, b := range ring[i%slots] {
			if b != byte(i) {
				fail("message %d has other contents", i)
			}
		}
	}
	sort.Slice(latencyNs, func(a, b int) bool { return latencyNs[a] < latencyNs[b] })
	at := func(back int) float64 { return float64(latencyNs[messages-back-1]) / 1e3 }
	report("p50_us", at(messages-messages/2-1))
	report("p99_us", at(messages/100))
	report("p999_us", at(messages/1000))
	report("p9999_us", at(messages/10000))
	report("max_us", at(0))
}
