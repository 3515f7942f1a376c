package breaker

import "time"

type bucket struct {
	begin      time.Time
	calls, bad int
}

// window counts calls of the last while, in buckets of time that are used again.
type window struct {
	buckets []bucket
	size    time.Duration
	since   time.Time // when counting began
}

func (w *window) add(now time.Time, bad bool) {
	begin := now.Truncate(w.size)
	if w.since.IsZero() {
		w.since = begin
	}
	place := &w.buckets[int(begin.UnixNano()/int64(w.size))%len(w.buckets)]
	if !place.begin.Equal(begin) {
		*place = bucket{begin: begin}
	}
	place.calls++
	if bad {
		place.bad++
	}
}

func (w *window) sum(now time.Time) (calls, bad int) {
	oldest := now.Truncate(w.size).Add(-w.size * time.Duration(len(w.buckets)-1))
	for _, one := range w.buckets {
		if !one.begin.Before(oldest) {
			calls += one.calls
			bad += one.bad
		}
	}
	return calls, bad
}

// full tells whether there was a whole window's time to count.
func (w *window) full(now time.Time) bool {
	return !w.since.IsZero() && now.Sub(w.since) >= w.size*time.Duration(len(w.buckets))
}

func (w *window) clear() {
	clear(w.buckets)
	w.since = time.Time{}
}
