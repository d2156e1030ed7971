// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/binary"
	"sync"
)

// The arrays and threads of ../c/larson.c; a thread is a goroutine here.
type larsonLane struct {
	slots       [][]byte
	seed        random
	generations int
	replaced    int
}

type larson struct {
	min, max, replacements int
	done                   sync.WaitGroup
}

func (l *larson) object(seed *random) []byte {
	size := l.min + int(seed.below(uint32(l.max-l.min+1)))
	object := make([]byte, size)
	binary.LittleEndian.PutUint32(object, uint32(size))
	object[size-1] = byte(size)
	return object
}

func (l *larson) check(object []byte) {
	size := int(binary.LittleEndian.Uint32(object))
	if size < l.min || size > l.max || object[size-1] != byte(size) {
		fail("an object has other contents")
	}
}

func (l *larson) thread(lane *larsonLane) {
	for i := 0; i < l.replacements; i++ {
		slot := &lane.slots[lane.seed.below(uint32(len(lane.slots)))]
		l.check(*slot)
		*slot = l.object(&lane.seed)
	}
	lane.replaced += l.replacements
	lane.generations--
	if lane.generations > 0 {
		go l.thread(lane)
	} else {
		l.done.Done()
	}
}

func larsonRun() {
	threads, generations, objects := param("threads"), param("generations"), param("objects")
	l := &larson{min: param("min"), max: param("max"), replacements: param("replacements")}
	lanes := make([]larsonLane, threads)
	for t := range lanes {
		lane := &lanes[t]
		lane.seed = random(seedOf(t))
		lane.generations = generations
		lane.slots = make([][]byte, objects)
		for i := range lane.slots {
			lane.slots[i] = l.object(&lane.seed)
		}
	}
	l.done.Add(threads)
	start := nowNs()
	for t := range lanes {
		go l.thread(&lanes[t])
	}
	l.done.Wait()
	took := nowNs() - start
	replaced := 0
	for t := range lanes {
		replaced += lanes[t].replaced
		for _, object := range lanes[t].slots {
			l.check(object)
		}
	}
	if replaced != threads*generations*l.replacements {
		fail("%d objects replaced", replaced)
	}
	report("replaced", float64(replaced))
	report("mops_per_s", float64(replaced)*1e3/float64(took))
}
