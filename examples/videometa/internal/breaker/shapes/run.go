package shapes

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"time"
)

// Guard is a breaker.
type Guard interface {
	Allow() (done func(error), err error)
	Openings() int
}

// Clock is the time of a run; nothing in it has to take that long.
type Clock interface {
	Now() time.Time
	Until(time.Time)
}

// Result is how a breaker did.
type Result struct {
	Calls    int
	Openings int
	Outside  int             // calls outside of trouble
	Rejected int             // of them, those that were not let through
	ToOpen   []time.Duration // from the begin of each trouble to the first opening in it; -1 is never
}

// errFailed is what a call gives that fails.
var errFailed = errors.New("failed")

// Run tries a breaker on a shape; the same seed gives the same result.
func Run(shape Shape, guard Guard, clock Clock, seed uint64) Result {
	r := run{shape: shape, guard: guard, clock: clock, began: clock.Now(), random: rand.New(rand.NewPCG(seed, 1))}
	for range shape.Trouble {
		r.result.ToOpen = append(r.result.ToOpen, -1)
	}
	for at := time.Duration(0); at < Day; at += time.Duration(r.random.ExpFloat64() / shape.Rate(at) * float64(time.Second)) {
		r.end(at)
		r.advance(at)
		r.call(at)
	}
	r.result.Openings = guard.Openings()
	return r.result
}

type run struct {
	shape  Shape
	guard  Guard
	clock  Clock
	began  time.Time
	random *rand.Rand
	calls  calls
	opened int
	result Result
}

// call is one on its way.
type call struct {
	ends time.Duration
	err  error
	done func(error)
}

func (r *run) call(at time.Duration) {
	r.result.Calls++
	outside := !within(r.shape.Trouble, at)
	if outside {
		r.result.Outside++
	}
	fails, took := r.random.Float64() < r.shape.Errors(at), r.shape.Latency(at, r.random)
	done, err := r.guard.Allow()
	if err != nil {
		if outside {
			r.result.Rejected++
		}
		return
	}
	heap.Push(&r.calls, call{at + took, choose(fails, errFailed, nil), done})
}

// end ends the calls that are due, each at its time.
func (r *run) end(until time.Duration) {
	for len(r.calls) > 0 && r.calls[0].ends <= until {
		ended := heap.Pop(&r.calls).(call)
		r.advance(ended.ends)
		ended.done(ended.err)
		r.look(ended.ends)
	}
}

func (r *run) advance(at time.Duration) { r.clock.Until(r.began.Add(at)) }

// look notes the first opening of each trouble.
func (r *run) look(at time.Duration) {
	openings := r.guard.Openings()
	if openings == r.opened {
		return
	}
	r.opened = openings
	for i, span := range r.shape.Trouble {
		if span.has(at) && r.result.ToOpen[i] < 0 {
			r.result.ToOpen[i] = at - span.From
		}
	}
}

// calls is a heap, the first to end on top.
type calls []call

func (c calls) Len() int           { return len(c) }
func (c calls) Less(i, j int) bool { return c[i].ends < c[j].ends }
func (c calls) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *calls) Push(one any)      { *c = append(*c, one.(call)) }

func (c *calls) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}
