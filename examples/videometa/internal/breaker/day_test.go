//go:build !race

// Days take the race detector minutes, and there is one goroutine in them.

package breaker

import (
	"testing"
	"time"

	"example.com/videometa/internal/breaker/shapes"
)

// virtual is a clock that takes no time.
type virtual struct{ now time.Time }

func (v *virtual) Now() time.Time    { return v.now }
func (v *virtual) Until(t time.Time) { v.now = t }

// guard is a breaker as shapes know one.
type guard struct{ *Breaker }

func (g guard) Openings() int { return int(g.Opened()) }

// What a day of each shape may cost: so many openings, so many thousandths of the calls outside of trouble rejected, and
// so long until it opens where it should.
func TestADayOfEachShape(t *testing.T) {
	for i, most := range []struct {
		openings int
		rejected float64
		toOpen   time.Duration
	}{
		{0, 0, 0}, {200, 1, 10 * time.Second}, {600, 1, 20 * time.Minute}, {1200, 2, 10 * time.Minute},
		{0, 0, 0}, {0, 0, 0}, {200, 2, 4 * time.Minute}, {12, 2, 0},
	} {
		shape := shapes.All()[i]
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			clock := &virtual{time.Unix(1_700_000_000, 0)}
			got := shapes.Run(shape, guard{New(Config{Now: clock.Now})}, clock, 1)
			rejected := 1000 * float64(got.Rejected) / float64(got.Outside)
			if got.Openings > most.openings || rejected > most.rejected {
				t.Errorf("of %d calls: %d openings, %.2f ‰ rejected", got.Calls, got.Openings, rejected)
			}
			for _, took := range got.ToOpen {
				if took < 0 || took > most.toOpen {
					t.Errorf("it opened %v after the trouble began", took)
				}
			}
		})
	}
}
