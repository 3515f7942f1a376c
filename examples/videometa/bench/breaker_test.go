package bench

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/videometa/internal/breaker"
	"example.com/videometa/internal/breaker/shapes"
	"github.com/sony/gobreaker/v2"
)

// bubble is synctest's time: gobreaker takes no other clock.
type bubble struct{}

func (bubble) Now() time.Time    { return time.Now() }
func (bubble) Until(t time.Time) { time.Sleep(time.Until(t)) }

// virtual is a clock for the others, which is quicker.
type virtual struct{ now time.Time }

func (v *virtual) Now() time.Time    { return v.now }
func (v *virtual) Until(t time.Time) { v.now = t }

type ours struct{ *breaker.Breaker }

func (o ours) Openings() int { return int(o.Opened()) }

type theirs struct {
	*gobreaker.TwoStepCircuitBreaker[any]
	openings *int
}

func (t theirs) Openings() int { return *t.openings }

// gobreakers is one as its README begins: more than five failures in a row open it for a minute.
func gobreakers() shapes.Guard {
	openings := new(int)
	return theirs{gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				*openings++
			}
		},
	}), openings}
}

const (
	tableBegins = "<!-- go test -run TestTheTableOfBreakers ./bench writes this table with WRITE=1 -->\n"
	tableEnds   = "<!-- end of the table -->\n"
	readme      = "../README.md"
)

// The table in README.md is what a day of each shape gives: it is made of simulated time, so it is the same everywhere.
func TestTheTableOfBreakers(t *testing.T) {
	content, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), tableBegins)
	written, after, ended := strings.Cut(rest, tableEnds)
	if !found || !ended {
		t.Fatal("README.md has no place for the table")
	}
	table := table(t)
	if os.Getenv("WRITE") != "" {
		if err := os.WriteFile(readme, []byte(before+tableBegins+table+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != written {
		t.Errorf("the table should be\n%s", table)
	}
}

func table(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("| a day of… | this one | fixed at 50 % | fixed at 10 % | gobreaker |\n|---|---|---|---|---|\n")
	for _, shape := range shapes.All() {
		text.WriteString("| " + shape.Name)
		for _, fresh := range []func(now func() time.Time) shapes.Guard{
			func(now func() time.Time) shapes.Guard { return ours{breaker.New(breaker.Config{Now: now})} },
			func(now func() time.Time) shapes.Guard { return &shapes.Fixed{Limit: 0.5, Now: now} },
			func(now func() time.Time) shapes.Guard { return &shapes.Fixed{Limit: 0.1, Now: now} },
		} {
			clock := &virtual{time.Unix(1_700_000_000, 0)}
			text.WriteString(" | " + cell(shapes.Run(shape, fresh(clock.Now), clock, 1)))
		}
		synctest.Test(t, func(*testing.T) {
			text.WriteString(" | " + cell(shapes.Run(shape, gobreakers(), bubble{}, 1)))
		})
		text.WriteString(" |\n")
	}
	return text.String()
}

// cell is openings, the part of calls outside of trouble that was rejected, and the longest time until a trouble opened it.
func cell(r shapes.Result) string {
	text := fmt.Sprintf("%d, %.2f %%", r.Openings, 100*float64(r.Rejected)/float64(r.Outside))
	if len(r.ToOpen) == 0 {
		return text
	}
	longest := r.ToOpen[0]
	for _, took := range r.ToOpen {
		if took < 0 {
			return text + ", **never**"
		}
		longest = max(longest, took)
	}
	return text + ", " + longest.Round(100*time.Millisecond).String()
}
