package store

import (
	"iter"
	"maps"
	"slices"
)

// Memory is a store of a map, for tests and for who tries things out.
type Memory map[string][]byte

// Get finds one document.
func (m Memory) Get(id string) (Record, bool) {
	document, found := m[id]
	if !found {
		return Record{}, false
	}
	return Record{id, document, sumOf(document)}, true
}

// After gives the documents whose ids are above id.
func (m Memory) After(id string) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for _, next := range slices.Sorted(maps.Keys(m)) {
			if next <= id {
				continue
			}
			if record, _ := m.Get(next); !yield(record) {
				return
			}
		}
	}
}

// Len is how many documents there are.
func (m Memory) Len() int { return len(m) }

// Close does nothing.
func (m Memory) Close() error { return nil }
