// SPDX-License-Identifier: GPL-2.0-only

package main

import "sync"

const gcbenchMinDepth = 4

type gcbenchNode struct {
	left, right *gcbenchNode
	level       uint32
	_           uint32
}

func gcbenchBottomUp(depth int) *gcbenchNode {
	if depth == 0 {
		return &gcbenchNode{}
	}
	return &gcbenchNode{
		left:  gcbenchBottomUp(depth - 1),
		right: gcbenchBottomUp(depth - 1),
		level: uint32(depth),
	}
}

func (n *gcbenchNode) topDown() {
	if n.level == 0 {
		return
	}
	n.left = &gcbenchNode{level: n.level - 1}
	n.right = &gcbenchNode{level: n.level - 1}
	n.left.topDown()
	n.right.topDown()
}

func (n *gcbenchNode) count(depth int) int {
	if n.level != uint32(depth) {
		fail("a node of level %d is at level %d", n.level, depth)
	}
	if depth == 0 {
		return 1
	}
	return 1 + n.left.count(depth-1) + n.right.count(depth-1)
}

func gcbenchNodes(depth int) int {
	return 2<<depth - 1
}

func gcbenchTrees(stretch, depth int) int {
	return 2 * gcbenchNodes(stretch) / gcbenchNodes(depth)
}

func gcbenchThread(number, threads, stretch, depth int) int {
	nodes := 0
	for d := gcbenchMinDepth; d <= depth; d += 2 {
		for i := number; i < gcbenchTrees(stretch, d); i += threads {
			tree := &gcbenchNode{level: uint32(d)}
			tree.topDown()
			nodes += gcbenchNodes(int(tree.level))
		}
		for i := number; i < gcbenchTrees(stretch, d); i += threads {
			nodes += gcbenchNodes(int(gcbenchBottomUp(d).level))
		}
	}
	return nodes
}

func gcbenchRun() {
	stretch, lasting, depth := param("stretch"), param("lasting"), param("depth")
	count, threads := param("array"), param("threads")

	if gcbenchBottomUp(stretch).count(stretch) != gcbenchNodes(stretch) {
		fail("the first tree has lost nodes")
	}
	tree := &gcbenchNode{level: uint32(lasting)}
	tree.topDown()
	array := make([]float64, count)
	for i := range array {
		array[i] = 1 / float64(i+1)
	}

	counted := make([]int, threads)
	var group sync.WaitGroup
	group.Add(threads)
	for t := 0; t < threads; t++ {
		go func(t int) {
			counted[t] = gcbenchThread(t, threads, stretch, depth)
			group.Done()
		}(t)
	}
	group.Wait()
	nodes, expected := 0, 0
	for _, n := range counted {
		nodes += n
	}
	for d := gcbenchMinDepth; d <= depth; d += 2 {
		expected += 2 * gcbenchTrees(stretch, d) * gcbenchNodes(d)
	}
	if nodes != expected {
		fail("%d nodes instead of %d", nodes, expected)
	}
	if tree.count(lasting) != gcbenchNodes(lasting) {
		fail("the lasting tree has lost nodes")
	}
	for i, x := range array {
		if x != 1/float64(i+1) {
			fail("element %d of the array has changed", i)
		}
	}
	report("nodes", float64(nodes))
}
