package breaker

import "time"

type bucket struct {
	begin      time.Time
	calls, bad int
}

type outcome struct {
	at  time.Time
	bad bool
}

// window counts calls of the last while, in buckets of time that are used again. Where calls are rare it takes the last
// few, however long ago, so that a dependency that is seldom asked is judged too.
type window struct {
	buckets []bucket
	size    time.Duration
	last    []outcome // a ring
	next    int
	stale   time.Duration
}

func newWindow(c Config) window {
	return window{buckets: make([]bucket, c.Buckets), size: c.Bucket, last: make([]outcome, c.MinCalls), stale: c.Stale}
}

func (w *window) add(now time.Time, bad bool) {
	begin := now.Truncate(w.size)
	place := &w.buckets[int(begin.UnixNano()/int64(w.size))%len(w.buckets)]
	if !place.begin.Equal(begin) {
		*place = bucket{begin: begin}
	}
	place.calls++
	if bad {
		place.bad++
	}
	w.last[w.next] = outcome{now, bad}
	w.next = (w.next + 1) % len(w.last)
}

func (w *window) sum(now time.Time) (calls, bad int) {
	oldest := now.Truncate(w.size).Add(-w.size * time.Duration(len(w.buckets)-1))
	for _, one := range w.buckets {
		if !one.begin.Before(oldest) {
			calls += one.calls
			bad += one.bad
		}
	}
	if calls >= len(w.last) {
		return calls, bad
	}
	calls, bad = 0, 0
	for _, one := range w.last {
		if now.Sub(one.at) <= w.stale {
			calls++
			if one.bad {
				bad++
			}
		}
	}
	return calls, bad
}

func (w *window) clear() {
	clear(w.buckets)
	clear(w.last)
}
