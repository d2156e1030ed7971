// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"runtime"
	"sync"
)

type threadsNode struct {
	next   *threadsNode
	owner  int
	number int
}

func threadsList(owner, nodes int) *threadsNode {
	var list *threadsNode
	for i := 0; i < nodes; i++ {
		list = &threadsNode{list, owner, i}
	}
	return list
}

func threadsDrop(list *threadsNode, owner, nodes int) {
	left := nodes
	for ; list != nil; list = list.next {
		left--
		if list.owner != owner || list.number != left {
			fail("thread %d has another's node", owner)
		}
	}
	if left != 0 {
		fail("thread %d has lost nodes", owner)
	}
}

// The threads of ../c/threads.c: each goroutine has a system thread of its own.
func threadsRun() {
	threads, idle := param("threads"), param("idle")
	lists, nodes := param("lists"), param("nodes")
	if idle >= threads || nodes == 0 {
		fail("threads must be above idle, nodes above 0")
	}
	var all, busy sync.WaitGroup
	all.Add(threads)
	busy.Add(threads - idle)
	for t := 0; t < threads; t++ {
		go func(owner int) {
			runtime.LockOSThread()
			kept := threadsList(owner, nodes)
			if owner < idle {
				busy.Wait()
			} else {
				for i := 0; i < lists; i++ {
					threadsDrop(threadsList(owner, nodes), owner, nodes)
				}
				busy.Done()
			}
			threadsDrop(kept, owner, nodes)
			all.Done()
		}(t)
	}
	all.Wait()
}
