// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"runtime/debug"
	"unsafe"
)

const (
	churnMinBytes = 16
	churnPhases   = 4
)

// The table of ../c/churn.c.  A pointer to the first byte of each object, which has the object's
// size in it, takes as much room as in C.
type churnTable struct {
	slots       []*byte
	count       int
	most        int
	liveBytes   int
	targetBytes int
}

func churnAllSizes(seed *random) int {
	bits := 4 + seed.below(10)
	return 1<<bits + int(seed.below(1<<bits))
}

func churnSize(seed *random, phase int, steady bool) int {
	if steady {
		return churnAllSizes(seed)
	}
	switch phase % churnPhases {
	case 0:
		return 16 + int(seed.below(49))
	case 1:
		return 100 + int(seed.below(901))
	case 2:
		return 1024 + int(seed.below(15361))
	}
	return churnAllSizes(seed)
}

func churnSizeOf(first *byte) int {
	size := int(*(*uint32)(unsafe.Pointer(first)))
	if size < churnMinBytes {
		fail("an object has other contents")
	}
	object := unsafe.Slice(first, size)
	if object[size-1] != byte(size) || object[size/2] != byte(size) {
		fail("an object has other contents")
	}
	return size
}

func (t *churnTable) remove(at int) {
	t.count--
	t.liveBytes -= churnSizeOf(t.slots[at])
	t.slots[at] = t.slots[t.count]
	t.slots[t.count] = nil
}

func (t *churnTable) add(size int, seed *random) {
	object := make([]byte, size)
	object[0] = byte(size)
	for n := 1; n < size; n *= 2 {
		copy(object[n:], object[:n])
	}
	*(*uint32)(unsafe.Pointer(&object[0])) = uint32(size)
	if t.count == len(t.slots) {
		t.remove(int(seed.below(uint32(t.count))))
	}
	t.slots[t.count] = &object[0]
	t.count++
	t.liveBytes += size
	for t.liveBytes > t.targetBytes {
		t.remove(int(seed.below(uint32(t.count))))
	}
	if t.count > t.most {
		t.most = t.count
	}
}

func (t *churnTable) phase(phase int, steady bool, bytes int, seed *random) int {
	ops := 0
	for done := 0; done < bytes; ops++ {
		size := churnSize(seed, phase, steady)
		t.add(size, seed)
		done += size
	}
	return ops
}

func churnRun() {
	target, turnover := param("live_mib")<<20, param("turnover")
	phases, mix := param("repeats")*churnPhases, paramString("mix")
	steady, seed := mix == "steady", seedOf(0)
	if !steady && mix != "phases" {
		fail("mix=%s: must be steady or phases", mix)
	}
	debug.SetGCPercent(param("gc_percent"))
	capacity := target / 32
	if steady {
		capacity = target / 1024
	}
	table := &churnTable{slots: make([]*byte, capacity), targetBytes: target}
	table.phase(0, steady, target, &seed)
	start, ops := nowNs(), 0
	for phase := 0; phase < phases; phase++ {
		ops += table.phase(phase, steady, turnover*target, &seed)
	}
	took := nowNs() - start
	report("ns", float64(took)/float64(ops))
	report("live_mib", float64(target+table.most*8)/(1<<20))
	report("objects", float64(table.count))
	for table.count > 0 {
		table.remove(table.count - 1)
	}
	if table.liveBytes != 0 {
		fail("%d bytes are left of no object", table.liveBytes)
	}
}
