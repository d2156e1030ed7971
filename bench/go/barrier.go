// SPDX-License-Identifier: GPL-2.0-only

package main

import "runtime"

// The loops of ../c/barrier.c.  The plain ones store integers, which have no barrier.  Go does
// not tell when it marks, so there are no figures for that.
const (
	barrierSlots     = 512
	barrierRepeats   = 7
	barrierTreeDepth = 14
	barrierListNodes = 1024
)

var barrierSink any

//go:noinline
func arrayPlain(stores int) int {
	slot := new([barrierSlots]uintptr)
	barrierSink = slot
	for i := 0; i < stores; i++ {
		slot[i%barrierSlots] = uintptr(i)
	}
	return stores
}

//go:noinline
func arrayBarrier(stores int) int {
	slot := new([barrierSlots]*int)
	value := [2]*int{new(int), new(int)}
	barrierSink = slot
	for i := 0; i < stores; i++ {
		slot[i%barrierSlots] = value[i&1]
	}
	return stores
}

type barrierNode struct {
	next, prev *barrierNode
}

func (n *barrierNode) unlink() {
	n.prev.next = n.next
	n.next.prev = n.prev
}

func (head *barrierNode) linkAfter(n *barrierNode) {
	next := head.next
	n.next = next
	n.prev = head
	next.prev = n
	head.next = n
}

func listNew() *barrierNode {
	head := &barrierNode{}
	head.next, head.prev = head, head
	return head
}

//go:noinline
func listBarrier(stores int) int {
	list := [2]*barrierNode{listNew(), listNew()}
	for i := 0; i < barrierListNodes; i++ {
		list[0].linkAfter(&barrierNode{})
	}
	moves := stores / 6
	for i := 0; i < moves; i++ {
		from := i / barrierListNodes & 1
		node := list[from].prev
		node.unlink()
		list[1-from].linkAfter(node)
	}
	return moves * 6
}

func treeOfNodes(depth int) *barrierNode {
	node := &barrierNode{}
	if depth > 0 {
		node.next = treeOfNodes(depth - 1)
		node.prev = treeOfNodes(depth - 1)
	}
	return node
}

//go:noinline
func treeBarrier(stores int) int {
	perTree := 2 * (2<<barrierTreeDepth - 1)
	done := 0
	for ; done < stores/10; done += perTree {
		barrierSink = treeOfNodes(barrierTreeDepth)
	}
	return done
}

func barrierTime(loop func(int) int, stores int) float64 {
	best := 1e9
	for i := 0; i < barrierRepeats; i++ {
		barrierSink = nil
		collect()
		start := nowNs()
		done := loop(stores / barrierRepeats)
		if ns := float64(nowNs()-start) / float64(done); ns < best {
			best = ns
		}
	}
	return best
}

func barrierRun() {
	stores := param("stores")
	collectorOff()
	plain, barrier := barrierTime(arrayPlain, stores), barrierTime(arrayBarrier, stores)
	report("array_plain_ns", plain)
	report("array_barrier_ns", barrier)
	report("array_extra_ns", barrier-plain)
	report("list_barrier_ns", barrierTime(listBarrier, stores))
	report("tree_barrier_ns", barrierTime(treeBarrier, stores))
	runtime.KeepAlive(barrierSink)
}
