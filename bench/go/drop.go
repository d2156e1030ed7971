// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"sync"
	"unsafe"
)

// A sink keeps the object at hand: one that is never stored would not leave the stack.  Each
// thread has its own, in a cache line of its own.
type dropSink struct {
	object unsafe.Pointer
	_      [120]byte
}

var dropSinks []dropSink

// Objects of type T, which begins with a uint64.
func dropLoop[T any](ops int, sink *dropSink) {
	for i := 0; i < ops; i++ {
		object := new(T)
		*(*uint64)(unsafe.Pointer(object)) = uint64(i)
		sink.object = unsafe.Pointer(object)
	}
}

type dropPointers[T any] struct {
	number   uint64
	pointers T
}

type dropLeaf[T any] struct {
	number uint64
	data   T
}

type dropVariant struct {
	pointers, leaf func(ops int, sink *dropSink)
}

var dropSizes = map[int]dropVariant{
	16:    {dropLoop[dropPointers[[1]*int]], dropLoop[dropLeaf[[1]int]]},
	24:    {dropLoop[dropPointers[[2]*int]], dropLoop[dropLeaf[[2]int]]},
	32:    {dropLoop[dropPointers[[3]*int]], dropLoop[dropLeaf[[3]int]]},
	48:    {dropLoop[dropPointers[[5]*int]], dropLoop[dropLeaf[[5]int]]},
	64:    {dropLoop[dropPointers[[7]*int]], dropLoop[dropLeaf[[7]int]]},
	96:    {dropLoop[dropPointers[[11]*int]], dropLoop[dropLeaf[[11]int]]},
	128:   {dropLoop[dropPointers[[15]*int]], dropLoop[dropLeaf[[15]int]]},
	256:   {dropLoop[dropPointers[[31]*int]], dropLoop[dropLeaf[[31]int]]},
	512:   {dropLoop[dropPointers[[63]*int]], dropLoop[dropLeaf[[63]int]]},
	1024:  {dropLoop[dropPointers[[127]*int]], dropLoop[dropLeaf[[127]int]]},
	4096:  {dropLoop[dropPointers[[511]*int]], dropLoop[dropLeaf[[511]int]]},
	32768: {dropLoop[dropPointers[[4095]*int]], dropLoop[dropLeaf[[4095]int]]},
}

// Memory is always zeroed here: kind=zeroed is kind=pointers.
func dropRun() {
	ops, size, kind := param("ops"), param("size"), paramString("kind")
	variant, found := dropSizes[size]
	if !found {
		fail("size=%d: not one of the sizes in drop.go", size)
	}
	run := variant.pointers
	if kind == "leaf" {
		run = variant.leaf
	} else if kind != "pointers" && kind != "zeroed" {
		fail("kind=%s: must be pointers, leaf or zeroed", kind)
	}
	threads := param("threads")
	dropSinks = make([]dropSink, threads)
	run(ops/10, &dropSinks[0])
	var group sync.WaitGroup
	group.Add(threads)
	start := nowNs()
	for t := range dropSinks {
		go func(sink *dropSink) {
			run(ops, sink)
			group.Done()
		}(&dropSinks[t])
	}
	group.Wait()
	report("ns", float64(nowNs()-start)/float64(ops))
}
