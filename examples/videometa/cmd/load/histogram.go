package main

import (
	"math/bits"
	"time"
)

// histogram counts times in buckets of at most a thousandth of their value, so that any quantile is known that well.
type histogram struct {
	counts [64 << exactBits]uint64
	total  uint64
	sum    time.Duration
	most   time.Duration
}

// exactBits are the bits of a time that are kept below its highest one.
const exactBits = 10

func (h *histogram) add(took time.Duration) {
	took = max(took, 0)
	h.counts[bucket(uint64(took))]++
	h.total++
	h.sum += took
	h.most = max(h.most, took)
}

func bucket(value uint64) int {
	shift := max(bits.Len64(value)-exactBits-1, 0)
	return shift<<exactBits + int(value>>shift)
}

// upper is the largest value of a bucket.
func upper(at int) uint64 {
	if at < 2<<exactBits {
		return uint64(at)
	}
	shift := at>>exactBits - 1
	return (uint64(at-shift<<exactBits)+1)<<shift - 1
}

// quantile is a time that a part of all did not pass: 0.99 is P99.
func (h *histogram) quantile(part float64) time.Duration {
	wanted := uint64(part * float64(h.total))
	if float64(wanted) < part*float64(h.total) || wanted == 0 {
		wanted++
	}
	var seen uint64
	for at, count := range h.counts {
		if seen += count; seen >= wanted && count > 0 {
			return min(time.Duration(upper(at)), h.most)
		}
	}
	return h.most
}

func (h *histogram) mean() time.Duration {
	if h.total == 0 {
		return 0
	}
	return h.sum / time.Duration(h.total)
}

// buckets gives those that have any.
func (h *histogram) buckets() [][2]uint64 {
	var found [][2]uint64
	for at, count := range h.counts {
		if count > 0 {
			found = append(found, [2]uint64{upper(at), count})
		}
	}
	return found
}
