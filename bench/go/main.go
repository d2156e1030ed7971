// SPDX-License-Identifier: GPL-2.0-only

// The workloads of ../c in Go, with the same parameters and the same report:
// `PROGRAM WORKLOAD key=value...`, or `PROGRAM version`.
package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var workloads = map[string]func(){
	"drop":     dropRun,
	"finalize": finalizeRun,
	"trees":   treesRun,
	"mark":    markRun,
	"ring":    ringRun,
	"barrier": barrierRun,
	"gcbench": gcbenchRun,
	"larson":  larsonRun,
	"lru":     lruRun,
	"churn":   churnRun,
	"live":    liveRun,
	"threads": threadsRun,
}

var params = map[string]string{}

var started = time.Now()

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "go: "+format+"\n", args...)
	os.Exit(1)
}

func paramString(key string) string {
	value, found := params[key]
	if !found {
		fail("the parameter %s=... is missing", key)
	}
	return value
}

func param(key string) int {
	value, err := strconv.Atoi(paramString(key))
	if err != nil || value < 0 {
		fail("%s=%s is not a number", key, params[key])
	}
	return value
}

func report(key string, value float64) {
	fmt.Printf("%s=%.10g\n", key, value)
}

// Nanoseconds on the monotonic clock.
func nowNs() int64 {
	return int64(time.Since(started))
}

// CPU time of this process, user and system, all threads.
func processCPUNs() int64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// xorshift64*, as random_next() in ../c/workload.h.
type random uint64

func (r *random) next() uint64 {
	x := uint64(*r)
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	*r = random(x)
	return x * 0x2545f4914f6cdd1d
}

// A seed for each thread.
func seedOf(thread int) random {
	return random(0x9e3779b97f4a7c15 * uint64(thread+1))
}

func (r *random) below(bound uint32) uint64 {
	return ((r.next() >> 32) * uint64(bound)) >> 32
}

// The runtime's own figures.  PauseNs holds the last 256 cycles.
func reportRuntime() {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	longest := uint64(0)
	for _, pause := range stats.PauseNs {
		if pause > longest {
			longest = pause
		}
	}
	report("cycles", float64(stats.NumGC))
	report("stw_max_us", float64(longest)/1e3)
	report("peak_heap_mib", float64(stats.HeapSys)/(1<<20))
}

func main() {
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	if name == "version" {
		fmt.Println(strings.TrimPrefix(runtime.Version(), "go"))
		return
	}
	run := workloads[name]
	if run == nil {
		fmt.Fprintf(os.Stderr, "usage: %s version | WORKLOAD key=value...\n", os.Args[0])
		os.Exit(2)
	}
	for _, arg := range os.Args[2:] {
		key, value, _ := strings.Cut(arg, "=")
		params[key] = value
	}
	var meter *hiccupMeter
	if params["meter"] == "1" {
		meter = meterStart()
	}
	run()
	if meter != nil {
		meter.stop()
	}
	reportRuntime()
}

// A full collection, waited for.
func collect() {
	runtime.GC()
}

// No more collections but by collect().
func collectorOff() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(math.MaxInt64)
}
