// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"runtime"
	"runtime/debug"
)

const liveSteps = 1000000

func liveCheck(root *edges, objects int) {
	seed := random(1)
	for i := 0; i < liveSteps; i++ {
		if root.id >= uint64(objects) || root.check != ^root.id {
			fail("a step of the walk has led to something that is no object")
		}
		root = root.edge[seed.below(4)]
	}
}

var liveSink *edges

func liveDrop(count int) {
	for i := 0; i < count; i++ {
		liveSink = &edges{id: uint64(i)}
	}
	liveSink = nil
}

// The measurement of ../c/live.c.
func liveRun() {
	objects := param("live_mib") << 20 / 64
	turnover, collections := param("turnover"), param("collections")
	collectorOff()
	root := graphBuild(objects, "random")
	liveCheck(root, objects)
	debug.SetGCPercent(100)
	collect()

	dropped := turnover * objects
	if least := param("least_mib") << 20 / 64; dropped < least {
		dropped = least
	}
	liveDrop(objects)
	start := nowNs()
	liveDrop(dropped)
	report("ns", float64(nowNs()-start)/float64(dropped))

	cpuStart := processCPUNs()
	start = nowNs()
	for i := 0; i < collections; i++ {
		collect()
	}
	wall, cpu := float64(nowNs()-start), float64(processCPUNs()-cpuStart)
	liveCheck(root, objects)
	runtime.KeepAlive(root)
	report("collection_ms", wall/1e6/float64(collections))
	report("collection_cpu_ms", cpu/1e6/float64(collections))
	report("cpu_ns_per_object", cpu/float64(collections)/float64(objects))
}
