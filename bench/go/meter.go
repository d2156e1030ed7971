// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

const (
	meterGapNs   = 5000
	meterLongNs  = 100000
	rusageThread = 1
	threadClock  = 3 // CLOCK_THREAD_CPUTIME_ID
)

// The hiccup meter of ../c/meter.c, on a system thread of its own.
type hiccupMeter struct {
	stopping  atomic.Bool
	running   atomic.Bool
	done      chan struct{}
	gapMaxNs  int64
	heldMaxNs int64
	heldLong  int64
}

// CPU time of this thread, and the number of times that another one was given its CPU.
func meterAccount() (cpuNs, preempted int64) {
	var usage syscall.Rusage
	var cpu syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&cpu)), 0)
	syscall.Getrusage(rusageThread, &usage)
	return cpu.Nano(), usage.Nivcsw
}

func (m *hiccupMeter) loop() {
	runtime.LockOSThread()
	lastCPU, lastPreempted := meterAccount()
	looked := nowNs()
	before := looked
	m.running.Store(true)
	for !m.stopping.Load() {
		after := nowNs()
		gap := after - before
		if gap < meterGapNs {
			before = after
			continue
		}
		cpu, preempted := meterAccount()
		held := gap
		if preempted != lastPreempted {
			held = cpu - lastCPU - (before - looked)
			if held < 0 {
				held = 0
			}
			if held > gap {
				held = gap
			}
		}
		if gap > m.gapMaxNs {
			m.gapMaxNs = gap
		}
		if held > m.heldMaxNs {
			m.heldMaxNs = held
		}
		if held > meterLongNs {
			m.heldLong++
		}
		lastCPU, lastPreempted = cpu, preempted
		looked = nowNs()
		before = looked
	}
	close(m.done)
}

func meterStart() *hiccupMeter {
	m := &hiccupMeter{done: make(chan struct{})}
	go m.loop()
	for !m.running.Load() {
		runtime.Gosched()
	}
	return m
}

func (m *hiccupMeter) stop() {
	m.stopping.Store(true)
	<-m.done
	report("gap_max_us", float64(m.gapMaxNs)/1e3)
	report("held_max_us", float64(m.heldMaxNs)/1e3)
	report("held_over_100us", float64(m.heldLong))
}
