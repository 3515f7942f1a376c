package shapes

import (
	"errors"
	"time"
)

// Fixed is the breaker of most libraries, to compare with: open above a rate of bad calls in the last ten seconds, twenty
// calls or more; after five seconds one probe decides. Slow is bad, above 250 ms.
type Fixed struct {
	Limit float64
	Now   func() time.Time

	seconds  [10]struct{ at, calls, bad int64 }
	openTill time.Time
	probing  bool
	openings int
}

var errOpen = errors.New("open")

// Openings is how often it opened.
func (f *Fixed) Openings() int { return f.openings }

// Allow is [Guard]'s.
func (f *Fixed) Allow() (func(error), error) {
	began := f.Now()
	half := !f.openTill.IsZero()
	if half && (f.probing || began.Before(f.openTill)) {
		return nil, errOpen
	}
	f.probing = half
	return func(err error) {
		bad := err != nil || f.Now().Sub(began) > 250*time.Millisecond
		switch {
		case !half && f.openTill.IsZero():
			f.count(bad)
		case half && bad:
			f.open()
		case half:
			f.openTill, f.probing = time.Time{}, false
		}
	}, nil
}

func (f *Fixed) count(bad bool) {
	now := f.Now().Unix()
	place := &f.seconds[now%10]
	if place.at != now {
		place.at, place.calls, place.bad = now, 0, 0
	}
	place.calls++
	if bad {
		place.bad++
	}
	calls, bads := int64(0), int64(0)
	for _, one := range f.seconds {
		if one.at > now-10 {
			calls, bads = calls+one.calls, bads+one.bad
		}
	}
	if calls >= 20 && float64(bads) > f.Limit*float64(calls) {
		f.open()
	}
}

func (f *Fixed) open() {
	f.openTill, f.probing = f.Now().Add(5*time.Second), false
	f.openings++
	clear(f.seconds[:])
}
