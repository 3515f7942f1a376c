// Package breaker stops calls to a dependency that has become worse than it usually is.
//
// What is usual is learnt: the rate of bad calls (errors, and calls much slower than most) while all is well. The
// threshold follows it, with room for the noise that so many calls have, so a dependency that fails 2 % of the time
// every day opens nothing, and one that never fails opens at a tenth.
package breaker

import (
	"errors"
	"math"
	"sync"
	"time"
)

// ErrOpen is given instead of a call.
var ErrOpen = errors.New("circuit breaker is open")

// State is what a breaker does with calls.
type State int

// Closed lets calls through, Open none, HalfOpen a few, to see.
const (
	Closed State = iota
	Open
	HalfOpen
)

func (s State) String() string {
	return [...]string{"closed", "open", "half-open"}[s]
}

// Config says how a breaker judges. The zero value of a field takes the default beside it.
type Config struct {
	Bucket      time.Duration // 1s: how finely time is cut
	Buckets     int           // 10: how many of them are the window
	MinCalls    int           // 20: fewer in the window are not judged
	Factor      float64       // 3: how many times the usual rate of bad calls is too much
	Floor       float64       // 0.10: a rate below it is never too much
	Ceiling     float64       // 0.50: a rate above it always is
	Noise       float64       // 4: standard deviations of chance that are forgiven
	Learn       float64       // 0.05: how much one window moves what is usual
	SlowFactor  float64       // 4: how many times slower than usual is bad
	SlowFloor   time.Duration // 50ms: faster than this is never slow
	OpenFor     time.Duration // 2s: how long it stays open the first time; doubles while probes fail
	OpenForMost time.Duration // 30s
	Probes      int           // 5: calls in half-open, all of which have to be good
	Now         func() time.Time
}

func (c Config) withDefaults() Config {
	set(&c.Bucket, time.Second)
	set(&c.Buckets, 10)
	set(&c.MinCalls, 20)
	set(&c.Factor, 3)
	set(&c.Floor, 0.10)
	set(&c.Ceiling, 0.50)
	set(&c.Noise, 4)
	set(&c.Learn, 0.05)
	set(&c.SlowFactor, 4)
	set(&c.SlowFloor, 50*time.Millisecond)
	set(&c.OpenFor, 2*time.Second)
	set(&c.OpenForMost, 30*time.Second)
	set(&c.Probes, 5)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func set[T comparable](field *T, usual T) {
	var zero T
	if *field == zero {
		*field = usual
	}
}

// Breaker guards one dependency; safe for use from any goroutine.
type Breaker struct {
	config Config

	mu       sync.Mutex
	state    State
	window   window
	usual    float64 // rate of bad calls while all is well
	latency  float64 // seconds of a good call, smoothed
	until    time.Time
	openFor  time.Duration
	probes   int // begun in this half-open
	passed   int // of them, good
	opened   uint64
	rejected uint64
}

// New makes a breaker that is closed.
func New(config Config) *Breaker {
	config = config.withDefaults()
	return &Breaker{
		config:  config,
		window:  window{buckets: make([]bucket, config.Buckets), size: config.Bucket},
		openFor: config.OpenFor,
	}
}

// Allow asks whether a call may be made. If so, the call's end has to be told to done, once.
func (b *Breaker) Allow() (done func(error), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.config.Now()
	if b.state == Open && !now.Before(b.until) {
		b.state, b.probes, b.passed = HalfOpen, 0, 0
	}
	if b.state == Open || (b.state == HalfOpen && b.probes >= b.config.Probes) {
		b.rejected++
		return nil, ErrOpen
	}
	probe := b.state == HalfOpen
	if probe {
		b.probes++
	}
	var once sync.Once
	return func(err error) { once.Do(func() { b.done(now, probe, err) }) }, nil
}

// Do makes a call if it may be made.
func (b *Breaker) Do(call func() error) error {
	done, err := b.Allow()
	if err != nil {
		return err
	}
	failed := errors.New("the call panicked")
	defer func() { done(failed) }()
	failed = call()
	return failed
}

func (b *Breaker) done(began time.Time, probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.config.Now()
	took := now.Sub(began)
	bad := err != nil || b.slow(took)
	if probe {
		b.probed(now, bad)
		return
	}
	if b.state != Closed {
		return // it began before the breaker opened; the judgement is made
	}
	if !bad {
		b.learnLatency(took)
	}
	b.window.add(now, bad)
	b.judge(now)
}

func (b *Breaker) probed(now time.Time, bad bool) {
	switch {
	case b.state != HalfOpen:
	case bad:
		b.openFor = min(b.openFor*2, b.config.OpenForMost)
		b.open(now)
	default:
		b.passed++
		if b.passed >= b.config.Probes {
			b.state, b.openFor = Closed, b.config.OpenFor
			b.window.clear()
		}
	}
}

func (b *Breaker) judge(now time.Time) {
	calls, bad := b.window.sum(now)
	if calls < b.config.MinCalls {
		return
	}
	rate := float64(bad) / float64(calls)
	if rate > b.threshold(calls) {
		b.open(now)
		return
	}
	// What is nearly too much teaches nothing: a dependency on its way down shall not raise its own limit.
	if b.window.full(now) && rate <= 0.9*b.threshold(calls) {
		b.usual += b.config.Learn * (rate - b.usual) / float64(max(calls/b.config.Buckets, 1))
	}
}

// threshold is the rate of bad calls, among so many, above which it opens.
func (b *Breaker) threshold(calls int) float64 {
	usual := math.Max(b.usual, 1/float64(calls))
	noise := b.config.Noise * math.Sqrt(usual*(1-usual)/float64(calls))
	limit := math.Max(b.usual*b.config.Factor, b.config.Floor) + noise
	return math.Min(limit, math.Max(b.config.Ceiling, b.usual+noise))
}

func (b *Breaker) open(now time.Time) {
	b.state, b.until = Open, now.Add(b.openFor)
	b.opened++
	b.window.clear()
}

func (b *Breaker) slow(took time.Duration) bool {
	limit := math.Max(b.latency*b.config.SlowFactor, b.config.SlowFloor.Seconds())
	return b.latency > 0 && took.Seconds() > limit
}

func (b *Breaker) learnLatency(took time.Duration) {
	if b.latency == 0 {
		b.latency = took.Seconds()
		return
	}
	b.latency += 0.01 * (took.Seconds() - b.latency)
}

// Snapshot is how a breaker stands, for metrics.
type Snapshot struct {
	State     State
	Calls     int     // in the window
	Rate      float64 // of bad ones
	Threshold float64
	Usual     float64
	Latency   time.Duration // usual
	Opened    uint64
	Rejected  uint64
}

// Snapshot tells how it stands.
func (b *Breaker) Snapshot() Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls, bad := b.window.sum(b.config.Now())
	snapshot := Snapshot{
		State: b.state, Calls: calls, Usual: b.usual, Opened: b.opened, Rejected: b.rejected,
		Threshold: b.threshold(max(calls, b.config.MinCalls)),
		Latency:   time.Duration(b.latency * float64(time.Second)),
	}
	if calls > 0 {
		snapshot.Rate = float64(bad) / float64(calls)
	}
	return snapshot
}
