// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"runtime"
	"sort"
)

func median(values []float64) float64 {
	sort.Float64s(values)
	n := len(values)
	if n%2 == 1 {
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}

// Types are always known here: typed= makes no difference.
func markRun() {
	objects, collections := param("objects"), param("collections")
	root := graphBuild(objects, paramString("shape"))
	reached := graphCount(root, objects)
	collect()
	var wall, cpu []float64
	for i := 0; i < collections; i++ {
		cpuStart, start := processCPUNs(), nowNs()
		collect()
		wall = append(wall, float64(nowNs()-start))
		cpu = append(cpu, float64(processCPUNs()-cpuStart))
	}
	if graphCount(root, objects) != reached {
		fail("the collections have lost objects")
	}
	runtime.KeepAlive(root)
	report("reached", float64(reached))
	report("collection_ms", median(wall)/1e6)
	report("collection_cpu_ms", median(cpu)/1e6)
	report("mobjects_per_s", float64(reached)*1e3/median(wall))
	report("mobjects_per_cpu_s", float64(reached)*1e3/median(cpu))
}
