package breaker

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/quick"
	"time"
)

var errBad = errors.New("bad")

// world is a dependency on a clock of its own.
type world struct {
	now     time.Time
	chance  *rand.Rand
	breaker *Breaker
}

func newWorld(seed uint64) *world {
	w := &world{now: time.Unix(1_700_000_000, 0), chance: rand.New(rand.NewPCG(seed, 1))}
	w.breaker = New(Config{Now: func() time.Time { return w.now }})
	return w
}

// calls makes so many calls a second for so long, of which a part is bad; it gives how often the breaker opened.
func (w *world) calls(perSecond int, seconds int, bad float64, took time.Duration) uint64 {
	before := w.breaker.Snapshot().Opened
	for range perSecond * seconds {
		w.now = w.now.Add(time.Second / time.Duration(perSecond))
		done, err := w.breaker.Allow()
		if err != nil {
			continue
		}
		began := w.now
		w.now = w.now.Add(took)
		if w.chance.Float64() < bad {
			done(errBad)
		} else {
			done(nil)
		}
		w.now = began
	}
	return w.breaker.Snapshot().Opened - before
}

func TestNeverFlapsOnNoise(t *testing.T) {
	steady := func(seed uint64, percent uint8) bool {
		w := newWorld(seed)
		return w.calls(50, 600, float64(percent%5)/100, time.Millisecond) == 0
	}
	if err := quick.Check(steady, &quick.Config{MaxCount: 40}); err != nil {
		t.Error(err)
	}
}

func TestWhatIsUsualIsLearnt(t *testing.T) {
	w := newWorld(1)
	w.calls(100, 600, 0.08, time.Millisecond)
	if usual := w.breaker.Snapshot().Usual; usual < 0.04 || usual > 0.12 {
		t.Errorf("8 %% bad calls for ten minutes taught %.3f", usual)
	}
	if opened := w.calls(100, 120, 0.16, time.Millisecond); opened != 0 {
		t.Error("twice what is usual opened it")
	}
}

func TestOpensWithinTwoWindowsOfAStep(t *testing.T) {
	step := func(seed uint64, usual uint8) bool {
		w := newWorld(seed)
		w.calls(50, 300, float64(usual%4)/100, time.Millisecond)
		return w.calls(50, 20, 0.8, time.Millisecond) > 0
	}
	if err := quick.Check(step, &quick.Config{MaxCount: 40}); err != nil {
		t.Error(err)
	}
}

func TestOpensWhenEverythingIsSlow(t *testing.T) {
	w := newWorld(1)
	w.calls(50, 60, 0, 10*time.Millisecond)
	if w.calls(50, 20, 0, time.Second) == 0 {
		t.Error("a hundred times slower, and it stayed closed")
	}
}

func TestRecovers(t *testing.T) {
	recovers := func(seed uint64) bool {
		w := newWorld(seed)
		w.calls(50, 60, 0, time.Millisecond)
		w.calls(50, 60, 1, time.Millisecond)
		w.calls(50, 60, 0, time.Millisecond)
		return w.breaker.Snapshot().State == Closed
	}
	if err := quick.Check(recovers, &quick.Config{MaxCount: 40}); err != nil {
		t.Error(err)
	}
}

func TestHalfOpenLetsAFewThrough(t *testing.T) {
	w := newWorld(1)
	w.calls(50, 60, 0, time.Millisecond)
	w.calls(50, 5, 1, time.Millisecond)
	w.now = w.now.Add(time.Minute)
	var began []func(error)
	for range 20 {
		if done, err := w.breaker.Allow(); err == nil {
			began = append(began, done)
		}
	}
	if len(began) != 5 {
		t.Fatalf("%d probes at a time, not 5", len(began))
	}
	began[0](errBad)
	if state := w.breaker.Snapshot().State; state != Open {
		t.Errorf("a bad probe left it %s", state)
	}
	for _, done := range began[1:] {
		done(nil) // late ones change nothing
	}
	if state := w.breaker.Snapshot().State; state != Open {
		t.Errorf("late probes made it %s", state)
	}
}

func TestStaysOpenLongerWhileProbesFail(t *testing.T) {
	w := newWorld(1)
	w.calls(50, 60, 0, time.Millisecond)
	opened := w.calls(10, 300, 1, time.Millisecond)
	if opened < 4 || opened > 16 {
		t.Errorf("opened %d times in five minutes", opened)
	}
}

func TestAPanicCounts(t *testing.T) {
	w := newWorld(1)
	func() {
		defer func() { _ = recover() }()
		_ = w.breaker.Do(func() error { panic("x") })
	}()
	if calls := w.breaker.Snapshot().Calls; calls != 1 {
		t.Errorf("%d calls were counted", calls)
	}
}

func BenchmarkAllow(b *testing.B) {
	breaker := New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		if done, err := breaker.Allow(); err == nil {
			done(nil)
		}
	}
}
