// Package breaker stops calls to a dependency that has become worse than it usually is.
//
// What is usual is learnt all the time: from calls while the breaker is closed, from probes while it is half-open, and a
// probe counts for the time in which nothing else was asked. So a dependency that fails 15 % of the time every day opens
// it once at most, and one that never fails opens it at a tenth. Above a ceiling nothing is usual: an outage teaches nothing.
package breaker

import (
	"errors"
	"math"
	"sync"
	"time"
)

// ErrOpen is given instead of a call.
var ErrOpen = errors.New("circuit breaker is open")

// ErrAbandoned ends a call that its caller gave up: it says nothing about the dependency, and counts as neither good nor bad.
var ErrAbandoned = errors.New("the caller gave the call up")

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

// Config says how a breaker judges. The zero value of a field takes the default that stands first in its comment.
type Config struct {
	Bucket   time.Duration // 1s: how finely time is cut
	Buckets  int           // 10: how many of them are the window
	MinCalls int           // 20: fewer are not judged; where the window has fewer, the last so many are
	Stale    time.Duration // 30m: a call before that is not among the last ones

	Factor  float64       // 3: how many times the usual rate of bad calls is too much
	Floor   float64       // 0.10: a rate below it is never too much
	Ceiling float64       // 0.50: a rate above it always is, and never becomes usual
	Noise   float64       // 4: standard deviations that are forgiven: of chance, and of how much the rate usually varies
	Memory  time.Duration // 10m: in it, what is usual goes two thirds of the way to what is

	LongMemory time.Duration // 1h: the same for latency, and for how much the rate varies

	SlowQuantile float64       // 0.90: this quantile of the calls' own history…
	SlowFactor   float64       // 4: …so many times is slow, and slow is bad
	SlowFloor    time.Duration // 50ms: faster than this is never slow
	SlowCeiling  time.Duration // 250ms: slower than this always is

	OpenFor     time.Duration // 2s: how long it stays open the first time; doubles while it does not help
	OpenForMost time.Duration // 30s
	Settle      time.Duration // 1m: opening again so soon after closing is the same trouble, and doubles too
	Probes      int           // 10: calls in half-open
	Now         func() time.Time
}

func (c Config) withDefaults() Config {
	set(&c.Bucket, time.Second)
	set(&c.Buckets, 10)
	set(&c.MinCalls, 20)
	set(&c.Stale, 30*time.Minute)
	set(&c.Factor, 3)
	set(&c.Floor, 0.10)
	set(&c.Ceiling, 0.50)
	set(&c.Noise, 4)
	set(&c.Memory, 10*time.Minute)
	set(&c.SlowQuantile, 0.90)
	set(&c.SlowFactor, 4)
	set(&c.SlowFloor, 50*time.Millisecond)
	set(&c.SlowCeiling, 250*time.Millisecond)
	set(&c.LongMemory, time.Hour)
	set(&c.OpenFor, 2*time.Second)
	set(&c.OpenForMost, 30*time.Second)
	set(&c.Settle, time.Minute)
	set(&c.Probes, 10)
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

	mu         sync.Mutex
	state      State
	generation uint64 // of the state: a call counts only in the one in which it began
	window     window
	usual      usual
	until      time.Time // Open: when it becomes HalfOpen
	openFor    time.Duration
	closed     time.Time // when it last closed
	begun      int       // probes of this half-open
	answered   int       // of them, those that ended
	bad        int       // of these, the bad ones
	trouble    average   // of the rates of probes since the trouble began: a few are good by chance in any outage
	opened     uint64
	rejected   uint64
}

// New makes a breaker that is closed.
func New(config Config) *Breaker {
	config = config.withDefaults()
	return &Breaker{config: config, window: newWindow(config), usual: newUsual(config)}
}

// Allow asks whether a call may be made. If so, done has to be given the call's end, once: nil, an error, or [ErrAbandoned].
func (b *Breaker) Allow() (done func(error), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.config.Now()
	if b.state == Open && !now.Before(b.until) {
		b.become(HalfOpen)
		b.begun, b.answered, b.bad = 0, 0, 0
	}
	if b.state == Open || (b.state == HalfOpen && b.begun >= b.config.Probes) {
		b.rejected++
		return nil, ErrOpen
	}
	b.begun++
	generation := b.generation
	var once sync.Once
	return func(err error) { once.Do(func() { b.done(now, generation, err) }) }, nil
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

func (b *Breaker) become(state State) {
	b.state = state
	b.generation++
}

func (b *Breaker) done(began time.Time, generation uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if generation != b.generation {
		return // the judgement it belongs to is made
	}
	if errors.Is(err, ErrAbandoned) {
		b.begun-- // another may probe in its place
		return
	}
	now := b.config.Now()
	took := now.Sub(began)
	bad := err != nil || took > b.usual.slow()
	if err == nil {
		b.usual.timed(took)
	}
	if b.state == HalfOpen {
		b.probed(now, bad)
		return
	}
	b.window.add(now, bad)
	b.judge(now, bad)
}

func (b *Breaker) judge(now time.Time, bad bool) {
	calls, badCalls := b.window.sum(now)
	rate := float64(badCalls) / float64(max(calls, 1))
	if calls >= b.config.MinCalls && rate > b.threshold(calls) {
		b.open(now, !b.closed.IsZero() && now.Sub(b.closed) < b.config.Settle)
		return
	}
	if rate <= b.config.Ceiling {
		b.usual.counted(now, bad, rate)
	}
}

// probed judges the probes when all have answered; earlier where it is clear, but not by a single one: the part of them
// that is bad is learnt, and has to be estimated.
func (b *Breaker) probed(now time.Time, bad bool) {
	b.answered++
	if bad {
		b.bad++
	}
	enough := int(b.returning() * float64(b.config.Probes)) // so many bad ones are forgiven
	early := b.bad > max(enough, 1)
	if b.answered < b.config.Probes && !early {
		return
	}
	rate := float64(b.bad) / float64(b.answered)
	if b.answered < b.config.Probes { // stopped at the k-th bad one: (k-1)/(n-1) is the estimate without bias
		rate = float64(b.bad-1) / float64(b.answered-1)
	}
	b.trouble.learn(rate, float64(b.answered)/float64(b.answered+evidence))
	if rate = b.trouble.get(); rate < b.config.Ceiling {
		b.usual.sampled(now, rate, b.answered)
	} else {
		b.usual.passed(now)
	}
	if b.bad > enough {
		b.open(now, true)
		return
	}
	b.become(Closed)
	b.closed = now
}

// threshold is the rate of bad calls, among so many, above which it opens.
func (b *Breaker) threshold(calls int) float64 {
	usual, known := b.usual.rate()
	if !known {
		return b.config.Ceiling // of a dependency that was just met only the worst is too much
	}
	likely := max(usual, 1/float64(calls))
	noise := b.config.Noise * math.Sqrt(likely*(1-likely)/float64(calls))
	limit := max(usual*b.config.Factor, b.config.Floor, usual+b.config.Noise*b.usual.spread()) + noise
	return min(limit, max(b.config.Ceiling, usual+noise))
}

// returning is the rate up to which probes close it: half way between what is usual and what is too much.
func (b *Breaker) returning() float64 {
	usual, _ := b.usual.rate()
	much := min(max(usual*b.config.Factor, b.config.Floor), b.config.Ceiling)
	return max(usual, (usual+much)/2)
}

// open opens it: for longer where it is the same trouble as the last time.
func (b *Breaker) open(now time.Time, same bool) {
	if same {
		b.openFor = min(b.openFor*2, b.config.OpenForMost)
	} else {
		b.openFor, b.trouble = b.config.OpenFor, average{}
	}
	b.become(Open)
	b.until = now.Add(b.openFor)
	b.opened++
	b.window.clear()
}

// Opened is how often it opened.
func (b *Breaker) Opened() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened
}

// Snapshot is how a breaker stands, for metrics.
type Snapshot struct {
	State     State
	Calls     int     // that are judged
	Rate      float64 // of bad ones
	Threshold float64
	Usual     float64
	Slow      time.Duration // what takes longer is bad
	Opened    uint64
	Rejected  uint64
}

// Snapshot tells how it stands.
func (b *Breaker) Snapshot() Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls, bad := b.window.sum(b.config.Now())
	snapshot := Snapshot{
		State: b.state, Calls: calls, Slow: b.usual.slow(), Opened: b.opened, Rejected: b.rejected,
		Threshold: b.threshold(max(calls, b.config.MinCalls)),
	}
	snapshot.Usual, _ = b.usual.rate()
	if calls > 0 {
		snapshot.Rate = float64(bad) / float64(calls)
	}
	return snapshot
}

// RetryAfter is how long it will not let a call through: 0 where it may now.
func (b *Breaker) RetryAfter() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != Open {
		return 0
	}
	return max(0, b.until.Sub(b.config.Now()))
}
