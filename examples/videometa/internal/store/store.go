// Package store keeps the raw metadata documents of videos, sorted by id.
//
// [File] is a file that is mapped into memory and never changes: a look-up is a binary search that copies nothing, all
// instances of a machine share one copy of it, and it is ready at once however large it is. We chose it over an embedded
// key-value library, since nothing here writes: README.md has the bytes that go.etcd.io/bbolt would have cost.
package store

import "iter"

// Record is a stored document.
type Record struct {
	ID       string
	Document []byte // JSON, validated before it was stored; not to be written to, and gone after Close
	Sum      uint64 // of the document: the same document has the same one wherever it is stored
}

// Store is what the service asks of any store. All but Close may be called by many at once.
type Store interface {
	// Get finds one document.
	Get(id string) (Record, bool)
	// After gives the documents whose ids are above id, lowest first; "" is below all.
	After(id string) iter.Seq[Record]
	// Len is how many there are.
	Len() int
	// Close lets go of them; no record may be used after it.
	Close() error
}
