// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"encoding/binary"
	"sync"
)

// The cache of ../c/lru.c, with the same keys, values and shards.
const (
	lruShards    = 16
	lruValueMin  = 16
	lruValueSpan = 256
)

type lruEntry struct {
	chain, newer, older *lruEntry
	key                 string
	value               []byte
	hash                uint64
}

type lruShard struct {
	lock           sync.Mutex
	buckets        []*lruEntry
	newest, oldest *lruEntry
	mask           uint64
	count          int
	capacity       int
	hits, misses   int
	_              [40]byte // shards share no cache line
}

type lruKey struct {
	text   []byte
	number uint64
	hash   uint64
}

func (k *lruKey) set(number uint64) {
	k.text = append(k.text[:0], "item/"...)
	for rest := number; ; {
		k.text = append(k.text, "0123456789abcdef"[rest&15])
		if rest >>= 4; rest == 0 {
			break
		}
	}
	for i := uint64(0); i < number&15; i++ {
		k.text = append(k.text, '.')
	}
	k.number = number
	hash := uint64(0xcbf29ce484222325)
	for _, c := range k.text {
		hash = (hash ^ uint64(c)) * 0x100000001b3
	}
	k.hash = (hash ^ hash>>29) * 0x9e3779b97f4a7c15
}

func lruDraw(seed *random, bits int) uint64 {
	level := seed.below(uint32(bits))
	return 1<<level + seed.below(1<<level)
}

func (e *lruEntry) check(number uint64) {
	last := e.value[len(e.value)-1]
	if binary.LittleEndian.Uint64(e.value) != number || last != byte(number) {
		fail("the value of key %d is another's", number)
	}
}

func (s *lruShard) push(e *lruEntry) {
	e.newer, e.older = nil, s.newest
	if s.newest != nil {
		s.newest.newer = e
	} else {
		s.oldest = e
	}
	s.newest = e
}

func (s *lruShard) remove(e *lruEntry) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		s.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		s.oldest = e.newer
	}
}

func (s *lruShard) evict() {
	e := s.oldest
	link := &s.buckets[e.hash&s.mask]
	for *link != e {
		link = &(*link).chain
	}
	*link = e.chain
	s.remove(e)
	s.count--
}

func (s *lruShard) insert(key *lruKey) {
	bucket := &s.buckets[key.hash&s.mask]
	value := make([]byte, lruValueMin+int(uint32(key.hash>>8)%lruValueSpan))
	value[0] = byte(key.number)
	for n := 1; n < len(value); n *= 2 {
		copy(value[n:], value[:n])
	}
	binary.LittleEndian.PutUint64(value, key.number)
	value[len(value)-1] = byte(key.number)
	e := &lruEntry{chain: *bucket, key: string(key.text), value: value, hash: key.hash}
	*bucket = e
	s.push(e)
	s.count++
	if s.count > s.capacity {
		s.evict()
	}
}

func lruAccess(shards []lruShard, key *lruKey) {
	s := &shards[key.hash>>60]
	s.lock.Lock()
	e := s.buckets[key.hash&s.mask]
	for e != nil && (e.hash != key.hash || e.key != string(key.text)) {
		e = e.chain
	}
	if e != nil {
		s.hits++
		e.check(key.number)
		if e.newer != nil {
			s.remove(e)
			s.push(e)
		}
	} else {
		s.misses++
		s.insert(key)
	}
	s.lock.Unlock()
}

func lruThread(shards []lruShard, seed random, ops, bits int, l *latency) {
	var key lruKey
	before := nowNs()
	for i := 0; i < ops; i++ {
		key.set(lruDraw(&seed, bits))
		lruAccess(shards, &key)
		now := nowNs()
		l.note(now - before)
		before = now
	}
}

func lruRun() {
	capacity, keys := param("capacity"), param("keys")
	threads, ops := param("threads"), param("ops")
	bits := 0
	for bits < 32 && 2<<bits <= keys {
		bits++
	}
	if capacity < lruShards || keys < 2*capacity || 1<<bits != keys {
		fail("keys must be a power of two up to 2^32, and twice the capacity")
	}
	buckets := 1
	for buckets < capacity/lruShards {
		buckets *= 2
	}
	shards := make([]lruShard, lruShards)
	for i := range shards {
		s := &shards[i]
		s.mask = uint64(buckets - 1)
		s.capacity = capacity / lruShards
		s.buckets = make([]*lruEntry, buckets)
	}
	var key lruKey
	for i := 2*capacity - 1; i > 0; i-- {
		key.set(uint64(i))
		lruAccess(shards, &key)
	}
	for i := range shards {
		shards[i].hits, shards[i].misses = 0, 0
	}

	latencies := make([]latency, threads)
	var group sync.WaitGroup
	group.Add(threads)
	start := nowNs()
	for t := 0; t < threads; t++ {
		go func(t int) {
			lruThread(shards, seedOf(t), ops/threads, bits, &latencies[t])
			group.Done()
		}(t)
	}
	group.Wait()
	took := nowNs() - start

	all := &latencies[0]
	for t := 1; t < threads; t++ {
		all.add(&latencies[t])
	}
	hits, misses := 0, 0
	for i := range shards {
		s := &shards[i]
		hits += s.hits
		misses += s.misses
		count := 0
		for e := s.newest; e != nil; e = e.older {
			e.check(binary.LittleEndian.Uint64(e.value))
			count++
		}
		if count != s.count || count != s.capacity {
			fail("shard %d has %d entries", i, count)
		}
	}
	if hits+misses != all.total {
		fail("%d operations instead of %d", hits+misses, all.total)
	}
	report("mops_per_s", float64(all.total)*1e3/float64(took))
	report("hits_percent", 100*float64(hits)/float64(all.total))
	report("p999_us", float64(all.exceededNs(1000))/1e3)
	report("p9999_us", float64(all.exceededNs(10000))/1e3)
	report("max_us", float64(all.maxNs)/1e3)
}
