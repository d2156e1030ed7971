// SPDX-License-Identifier: GPL-2.0-only

package main

// 64 bytes, half of them pointers, as struct bench_edges in ../c/bind.h.
type edges struct {
	edge    [4]*edges
	id      uint64
	check   uint64
	payload [2]uint64
}

// The graphs of ../c/graph.c.
func graphBuild(objects int, shape string) *edges {
	index := make([]*edges, objects)
	for i := range index {
		index[i] = &edges{id: uint64(i), check: ^uint64(i)}
	}
	seed := random(0x9e3779b97f4a7c15)
	for i := range index {
		for e := 0; e < 4; e++ {
			target := objects
			switch {
			case shape == "random":
				target = int(seed.below(uint32(objects)))
			case shape == "tree":
				target = 4*i + e + 1
			case shape == "list" && e == 0:
				target = i + 1
			case shape != "list":
				fail("shape=%s: must be random, list or tree", shape)
			}
			if target < objects {
				index[i].edge[e] = index[target]
			}
		}
	}
	root := index[0]
	for i := range index {
		index[i] = nil
	}
	return root
}

func graphCount(root *edges, objects int) int {
	seen := make([]bool, objects)
	queue := make([]*edges, 0, objects)
	seen[root.id] = true
	queue = append(queue, root)
	for head := 0; head < len(queue); head++ {
		object := queue[head]
		for e, target := range object.edge {
			if target == nil {
				continue
			}
			if target.id >= uint64(objects) || target.check != ^target.id {
				fail("object %d: edge %d leads to no object", object.id, e)
			}
			if !seen[target.id] {
				seen[target.id] = true
				queue = append(queue, target)
			}
		}
	}
	return len(queue)
}
