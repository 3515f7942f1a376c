// Package shapes has dependencies as they fare over a day, to try breakers on: for tests, and for the table in README.md.
package shapes

import (
	"math"
	"math/rand/v2"
	"time"
)

// Day is how long a shape lasts.
const Day = 24 * time.Hour

// Span is a part of the day.
type Span struct{ From, To time.Duration }

func (s Span) has(at time.Duration) bool { return s.From <= at && at < s.To }

// Shape is one dependency. Its functions are of the time since the day began.
type Shape struct {
	Name    string
	Rate    func(at time.Duration) float64                          // calls a second
	Errors  func(at time.Duration) float64                          // part of the calls that fail
	Latency func(at time.Duration, random *rand.Rand) time.Duration // how long a call takes
	Trouble []Span                                                  // when a breaker should open; at any other time it should not
}

// All gives the shapes of the table, in its order.
func All() []Shape {
	return []Shape{steady(), steps(), ramps(), drift(), bimodal(), diurnal(), seldom(), noise()}
}

const usualRate = 10

func always(value float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return value }
}

// around takes 0.5 to 1.5 times a time.
func around(usual time.Duration) func(time.Duration, *rand.Rand) time.Duration {
	return func(_ time.Duration, random *rand.Rand) time.Duration {
		return time.Duration((0.5 + random.Float64()) * float64(usual))
	}
}

func steady() Shape {
	return Shape{
		Name: "steady, 15 % fail", Rate: always(usualRate), Errors: always(0.15), Latency: around(10 * time.Millisecond),
	}
}

func steps() Shape {
	var trouble []Span
	for _, hour := range []time.Duration{3, 9, 15, 21} {
		trouble = append(trouble, Span{hour * time.Hour, hour*time.Hour + 10*time.Minute})
	}
	return Shape{
		Name: "steps, 0.5 → 80 % for 10 min", Rate: always(usualRate), Latency: around(10 * time.Millisecond), Trouble: trouble,
		Errors: func(at time.Duration) float64 { return choose(within(trouble, at), 0.8, 0.005) },
	}
}

func ramps() Shape {
	trouble := []Span{{4 * time.Hour, 5 * time.Hour}, {16 * time.Hour, 17 * time.Hour}}
	return Shape{
		Name: "ramps, 0.5 → 80 % in 30 min", Rate: always(usualRate), Latency: around(10 * time.Millisecond), Trouble: trouble,
		Errors: func(at time.Duration) float64 {
			for _, span := range trouble {
				if span.has(at) {
					return min(0.8, 0.005+0.795*(at-span.From).Minutes()/30)
				}
			}
			return 0.005
		},
	}
}

// drift is slow enough for any average to follow. It is trouble from where a tenth of the calls take more than 250 ms on.
func drift() Shape {
	from, over := 6*time.Hour, 6*time.Hour
	mean := func(at time.Duration) time.Duration {
		if at < from || at >= from+over+2*time.Hour {
			return 10 * time.Millisecond
		}
		part := min(1, float64(at-from)/float64(over))
		return 10*time.Millisecond + time.Duration(part*float64(470*time.Millisecond))
	}
	return Shape{
		Name: "drift, 10 → 480 ms in 6 h", Rate: always(usualRate), Errors: always(0.005),
		Latency: func(at time.Duration, random *rand.Rand) time.Duration {
			return time.Duration((0.9 + 0.2*random.Float64()) * float64(mean(at)))
		},
		Trouble: []Span{{from + over*221/470, from + over + 2*time.Hour}},
	}
}

func bimodal() Shape {
	return Shape{
		Name: "bimodal, 15 % at 120 ms, others at 5", Rate: always(usualRate), Errors: always(0.002),
		Latency: func(at time.Duration, random *rand.Rand) time.Duration {
			return around(choose(random.Float64() < 0.15, 120*time.Millisecond, 5*time.Millisecond))(at, random)
		},
	}
}

// diurnal is busiest at noon: 20 times the calls, 20 times the errors, 8 times as slow.
func diurnal() Shape {
	noon := func(at time.Duration) float64 { return (1 - math.Cos(2*math.Pi*at.Hours()/24)) / 2 }
	return Shape{
		Name:   "diurnal, 1 to 20/s, 0.2 to 4 %, 10 to 80 ms",
		Rate:   func(at time.Duration) float64 { return 1 + 19*noon(at) },
		Errors: func(at time.Duration) float64 { return 0.002 + 0.038*noon(at) },
		Latency: func(at time.Duration, random *rand.Rand) time.Duration {
			return around(10*time.Millisecond+time.Duration(noon(at)*float64(70*time.Millisecond)))(at, random)
		},
	}
}

func seldom() Shape {
	trouble := []Span{{6 * time.Hour, 6*time.Hour + 30*time.Minute}, {18 * time.Hour, 18*time.Hour + 30*time.Minute}}
	return Shape{
		Name: "low traffic, 6 a minute, 2 → 100 %", Rate: always(0.1), Latency: around(10 * time.Millisecond), Trouble: trouble,
		Errors: func(at time.Duration) float64 { return choose(within(trouble, at), 1, 0.02) },
	}
}

// noise has another rate of errors each minute: most are small, some are up to a quarter.
func noise() Shape {
	return Shape{
		Name: "noise, 0 to 25 % by the minute", Rate: always(usualRate), Latency: around(10 * time.Millisecond),
		Errors: func(at time.Duration) float64 {
			random := rand.New(rand.NewPCG(uint64(at/time.Minute), 7))
			return min(0.25, 0.06*random.ExpFloat64())
		},
	}
}

func within(spans []Span, at time.Duration) bool {
	for _, span := range spans {
		if span.has(at) {
			return true
		}
	}
	return false
}

func choose[T any](is bool, yes, no T) T {
	if is {
		return yes
	}
	return no
}
