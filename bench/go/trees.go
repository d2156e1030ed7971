// SPDX-License-Identifier: GPL-2.0-only

package main

import "sync"

const treesMinDepth = 4

type tree struct {
	left, right *tree
}

func treeBuild(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{treeBuild(depth - 1), treeBuild(depth - 1)}
}

func (t *tree) count() int {
	if t.left == nil {
		return 1
	}
	return 1 + t.left.count() + t.right.count()
}

func treesAt(depth, maxDepth int) int {
	return 1 << (maxDepth - depth + treesMinDepth)
}

func treesThread(number, threads, depth int) int {
	nodes := 0
	for d := treesMinDepth; d <= depth; d += 2 {
		for i := number; i < treesAt(d, depth); i += threads {
			nodes += treeBuild(d).count()
		}
	}
	return nodes
}

func treesCheck(what string, nodes, expected int) {
	if nodes != expected {
		fail("%s: %d nodes instead of %d", what, nodes, expected)
	}
}

func treesRun() {
	depth, threads := param("depth"), param("threads")

	treesCheck("first tree", treeBuild(depth+1).count(), 4<<depth-1)
	lasting := treeBuild(depth)
	counted := make([]int, threads)
	var group sync.WaitGroup
	for t := 0; t < threads; t++ {
		group.Add(1)
		go func(t int) {
			defer group.Done()
			counted[t] = treesThread(t, threads, depth)
		}(t)
	}
	group.Wait()

	nodes, expected := 0, 0
	for _, n := range counted {
		nodes += n
	}
	for d := treesMinDepth; d <= depth; d += 2 {
		expected += treesAt(d, depth) * (2<<d - 1)
	}
	treesCheck("dropped trees", nodes, expected)
	treesCheck("lasting tree", lasting.count(), 2<<depth-1)
	report("nodes", float64(nodes))
}
