// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"runtime"
	"sync/atomic"
)

type finalizeObject struct {
	words [8]uintptr
}

var finalizeTable []*finalizeObject

// The parameters and the report are those of ../c/finalize.c.
func finalizeRun() {
	n, collections := param("objects"), param("collections")
	if n == 0 || collections == 0 {
		fail("objects and collections must be above 0")
	}
	var called atomic.Int64
	finalizeTable = make([]*finalizeObject, n)
	for i := range finalizeTable {
		finalizeTable[i] = new(finalizeObject)
	}
	runtime.GC()
	start := nowNs()
	for _, object := range finalizeTable {
		runtime.SetFinalizer(object, func(*finalizeObject) { called.Add(1) })
	}
	setNs := nowNs() - start
	liveNs := nowNs() - nowNs()
	for i := 0; i < collections; i++ {
		start = nowNs()
		runtime.GC()
		liveNs += nowNs() - start
	}
	for i := range finalizeTable {
		finalizeTable[i] = nil
	}
	start = nowNs()
	for int(called.Load()) < n-n/1000 {
		runtime.GC()
		runtime.Gosched()
	}
	report("set_ns", float64(setNs)/float64(n))
	report("live_cycle_ms", float64(liveNs)/float64(collections)/1e6)
	report("dead_ns", float64(nowNs()-start)/float64(n))
}
