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

// halfOpen gives a breaker's probes, all begun.
func (w *world) halfOpen(t *testing.T) []func(error) {
	t.Helper()
	w.calls(50, 60, 0, time.Millisecond)
	w.calls(50, 5, 1, time.Millisecond)
	w.now = w.now.Add(time.Minute)
	var began []func(error)
	for range 30 {
		if done, err := w.breaker.Allow(); err == nil {
			began = append(began, done)
		}
	}
	if len(began) != 10 {
		t.Fatalf("%d probes at a time, not 10", len(began))
	}
	return began
}

func (w *world) expect(t *testing.T, want State, after string) {
	t.Helper()
	if state := w.breaker.Snapshot().State; state != want {
		t.Errorf("%s it is %s", after, state)
	}
}

func TestHalfOpenLetsAFewThrough(t *testing.T) {
	w := newWorld(1)
	probes := w.halfOpen(t)
	probes[0](errBad)
	w.expect(t, HalfOpen, "after one bad probe")
	probes[1](errBad)
	w.expect(t, Open, "after two bad probes")
	for _, done := range probes[2:] {
		done(nil)
	}
	w.expect(t, Open, "after late probes")
}

// A call counts in the half-open in which it began, and in no later one.
func TestLateAnswersOfAnEarlierHalfOpen(t *testing.T) {
	w := newWorld(1)
	late := w.halfOpen(t)
	late[0](errBad)
	late[1](errBad)
	w.now = w.now.Add(time.Minute)
	now, err := w.breaker.Allow()
	if err != nil {
		t.Fatal(err)
	}
	late[2](errBad)
	late[3](errBad)
	w.expect(t, HalfOpen, "after bad answers of an earlier half-open")
	for _, done := range late[4:] {
		done(nil)
	}
	now(nil)
	w.expect(t, HalfOpen, "after one good probe and others' good answers")
}

// Callers that leave say nothing of the dependency, and their probes are made again.
func TestAbandonedCallsCountForNothing(t *testing.T) {
	w := newWorld(1)
	for range 200 {
		done, err := w.breaker.Allow()
		if err != nil {
			t.Fatal(err)
		}
		done(ErrAbandoned)
	}
	if got := w.breaker.Snapshot(); got.Calls != 0 || got.State != Closed {
		t.Errorf("they counted: %+v", got)
	}
	for _, done := range w.halfOpen(t) {
		done(ErrAbandoned)
	}
	w.expect(t, HalfOpen, "after probes that were abandoned")
	for range 10 {
		done, err := w.breaker.Allow()
		if err != nil {
			t.Fatal("their places were not given back")
		}
		done(nil)
	}
	w.expect(t, Closed, "after ten good probes")
}

// A rate that is new, and stays, is usual after some minutes, although most of the calls that would show it are rejected.
func TestANewRateIsLearntWhileOpen(t *testing.T) {
	w := newWorld(1)
	w.calls(20, 3600, 0.01, time.Millisecond)
	if opened := w.calls(20, 60, 0.25, time.Millisecond); opened == 0 {
		t.Error("it did not open")
	}
	w.calls(20, 30*60, 0.25, time.Millisecond)
	if opened := w.calls(20, 6*3600, 0.25, time.Millisecond); opened != 0 {
		t.Errorf("after half an hour it opened %d times more", opened)
	}
}

func TestAnOutageTeachesNothing(t *testing.T) {
	w := newWorld(1)
	w.calls(20, 3600, 0.01, time.Millisecond)
	w.calls(20, 3600, 0.9, time.Millisecond)
	if usual := w.breaker.Snapshot().Usual; usual > 0.03 {
		t.Errorf("an hour's outage taught %.3f", usual)
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
