// Package budget shares out the memory that requests may hold, so that many of them, each within its own limits, do not
// take more together than there is.
package budget

import "sync"

// Budget is so many bytes; safe for use from any goroutine.
type Budget struct {
	total int64

	mu      sync.Mutex
	used    int64
	refused uint64
}

// New makes one of so many bytes.
func New(total int64) *Budget { return &Budget{total: total} }

// Used is how much is held now.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// Refused is how often there was not enough.
func (b *Budget) Refused() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refused
}

// Hold begins with nothing.
func (b *Budget) Hold() *Hold { return &Hold{budget: b} }

// Hold is what one request has of a budget; it is of one goroutine.
type Hold struct {
	budget *Budget
	bytes  int64
}

// Enter takes the first, of which all together may take the half: so who waits for its turn leaves room to who has it.
func (h *Hold) Enter(bytes int64) bool { return h.take(bytes, h.budget.total/2) }

// Grow takes more. It never waits: requests that hold a part while they wait for the next would wait for each other.
func (h *Hold) Grow(bytes int64) bool { return h.take(bytes, h.budget.total) }

func (h *Hold) take(bytes, most int64) bool {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+bytes > most {
		b.refused++
		return false
	}
	b.used += bytes
	h.bytes += bytes
	return true
}

// Shrink gives back a part of it.
func (h *Hold) Shrink(bytes int64) {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	bytes = min(bytes, h.bytes)
	b.used -= bytes
	h.bytes -= bytes
}

// Release gives all of it back.
func (h *Hold) Release() { h.Shrink(h.bytes) }
