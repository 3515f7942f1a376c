package breaker

import (
	"math"
	"time"
)

// usual is what is learnt of a dependency: the rate of its bad calls, how much that varies, and how long the good ones take.
//
// Both are averages over time, not over calls: ten probes after half a minute say as much of it as a thousand calls in
// that time would. But few calls move an average only a little, however long they stand for.
type usual struct {
	config  Config
	at      time.Time // until when it is learnt
	pending sample
	bad     average
	window  average // of windows' rates, over the long memory
	square  average // of their squares
	seen    int     // calls learnt from
	latency histogram
	limit   time.Duration // what slow gives, kept since it is asked at each call
}

// sample is what was seen since it was last learnt from.
type sample struct {
	calls, bad, timed int
	latency           [steps]int
}

func newUsual(c Config) usual { return usual{config: c, limit: c.SlowCeiling} }

// evidence is how many calls move an average half of the way that their time would allow.
const evidence = 20

// share is the weight of so many calls that stand for a time.
func share(elapsed, memory time.Duration, calls int) float64 {
	byTime := 1 - math.Exp(-elapsed.Seconds()/memory.Seconds())
	return min(byTime, float64(calls)/float64(calls+evidence))
}

// timed counts how long a good call took.
func (u *usual) timed(took time.Duration) {
	u.pending.timed++
	u.pending.latency[step(took)]++
}

// counted counts a call, and learns from a bucket of time when it is over; windows is the rate of the window now.
func (u *usual) counted(now time.Time, bad bool, windows float64) {
	if u.at.IsZero() {
		u.at = now
	}
	u.pending.calls++
	if bad {
		u.pending.bad++
	}
	if now.Sub(u.at) >= u.config.Bucket {
		long := share(now.Sub(u.at), u.config.LongMemory, u.pending.calls)
		u.window.learn(windows, long)
		u.square.learn(windows*windows, long)
		u.sampled(now, float64(u.pending.bad)/float64(u.pending.calls), u.pending.calls)
	}
}

// sampled learns a rate that so many calls had since it last learnt, and how long they took.
func (u *usual) sampled(now time.Time, rate float64, calls int) {
	u.bad.learn(rate, share(now.Sub(u.at), u.config.Memory, calls))
	u.seen += calls
	u.passed(now)
}

// passed learns how long calls took, but not how many were bad: of an outage, say.
func (u *usual) passed(now time.Time) {
	if timed := u.pending.timed; timed > 0 {
		u.latency.learn(&u.pending.latency, timed, share(now.Sub(u.at), u.config.LongMemory, timed))
		limit := time.Duration(u.config.SlowFactor * float64(u.latency.quantile(u.config.SlowQuantile)))
		u.limit = min(max(limit, u.config.SlowFloor), u.config.SlowCeiling)
	}
	u.pending, u.at = sample{}, now
}

// rate is what is usual, and whether enough was seen to say so: a window's time, and as many calls as are judged.
func (u *usual) rate() (usual float64, known bool) {
	window := u.config.Bucket * time.Duration(u.config.Buckets)
	known = u.seen >= u.config.MinCalls && u.bad.weight >= share(window, u.config.Memory, math.MaxInt32)
	return u.bad.get(), known
}

// spread is the standard deviation of windows' rates.
func (u *usual) spread() float64 {
	mean := u.window.get()
	return math.Sqrt(max(0, u.square.get()-mean*mean))
}

// slow is what is longer than usual; the ceiling, until that is known.
func (u *usual) slow() time.Duration {
	if _, known := u.rate(); !known {
		return u.config.SlowCeiling
	}
	return u.limit
}

// average is an exponential average that begins without a bias to 0.
type average struct{ sum, weight float64 }

func (a *average) learn(sample, share float64) {
	a.sum += share * (sample - a.sum)
	a.weight += share * (1 - a.weight)
}

func (a *average) get() float64 {
	if a.weight == 0 {
		return 0
	}
	return a.sum / a.weight
}

// A histogram of latencies has steps of a fifth from 0.1 ms on: up to 11 s.
const (
	steps = 64
	first = 100 * time.Microsecond
	ratio = 1.2
)

func step(took time.Duration) int {
	if took <= first {
		return 0
	}
	return min(steps-1, int(math.Ceil(math.Log(float64(took)/float64(first))/math.Log(ratio))))
}

// histogram is an exponential average of histograms.
type histogram [steps]float64

func (h *histogram) learn(counts *[steps]int, calls int, share float64) {
	for i := range h {
		h[i] += share * (float64(counts[i])/float64(calls) - h[i])
	}
}

// quantile is the upper end of the step that has it.
func (h *histogram) quantile(part float64) time.Duration {
	total := 0.0
	for _, weight := range h {
		total += weight
	}
	sum := 0.0
	for i, weight := range h {
		if sum += weight; sum >= part*total {
			return time.Duration(float64(first) * math.Pow(ratio, float64(i)))
		}
	}
	return first
}
