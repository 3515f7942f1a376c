package budget

import (
	"sync"
	"testing"
)

func TestThereIsNoMoreThanTheTotal(t *testing.T) {
	b := New(100)
	one, other := b.Hold(), b.Hold()
	if !one.Grow(60) || other.Grow(60) || !other.Grow(40) || one.Grow(1) {
		t.Errorf("%d of 100 are held", b.Used())
	}
	one.Shrink(1)
	if !other.Grow(1) || b.Refused() != 2 {
		t.Errorf("%d of 100 are held, %d were refused", b.Used(), b.Refused())
	}
	one.Release()
	one.Release()
	other.Shrink(1000)
	if b.Used() != 0 {
		t.Errorf("%d are still held", b.Used())
	}
}

func TestTheFirstLeavesRoomForMore(t *testing.T) {
	b := New(100)
	one, other := b.Hold(), b.Hold()
	if !one.Enter(50) || other.Enter(1) || !one.Grow(50) {
		t.Errorf("%d of 100 are held", b.Used())
	}
}

func TestManyAtOnce(t *testing.T) {
	b := New(1000)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 100 {
				hold := b.Hold()
				hold.Grow(30)
				if used := b.Used(); used > 1000 {
					t.Errorf("%d are held", used)
				}
				hold.Release()
			}
		})
	}
	all.Wait()
	if b.Used() != 0 {
		t.Errorf("%d are still held", b.Used())
	}
}
