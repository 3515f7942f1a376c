package store

import (
	"fmt"
	"iter"
	"os"
	"sort"
	"syscall"
	"unsafe"
)

// File is a store in a file that [Writer] wrote.
//
// To replace the documents write another file and rename it over the old one: whoever writes into a file that is mapped
// changes what others read, and whoever shortens it kills them by SIGBUS.
type File struct {
	raw   []byte
	index []byte
}

// Open maps a file.
//
// Cost: one pass over the index; no record is read.
func Open(path string) (*File, error) {
	raw, err := mapped(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	index, err := indexOf(raw)
	if err != nil {
		_ = syscall.Munmap(raw)
		return nil, fmt.Errorf("store: %s: %w", path, err)
	}
	return &File{raw: raw, index: index}, nil
}

func mapped(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() // the mapping stays
	status, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if status.Size() == 0 { // which can't be mapped
		return nil, fmt.Errorf("%s: empty", path)
	}
	raw, err := syscall.Mmap(int(file.Fd()), 0, int(status.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return raw, nil
}

// Len is how many documents there are.
func (f *File) Len() int { return len(f.index) / entrySize }

// Get finds one document.
func (f *File) Get(id string) (Record, bool) {
	at := f.search(func(i int) bool { return f.id(i) >= id })
	if at == f.Len() || f.id(at) != id {
		return Record{}, false
	}
	return f.record(at), true
}

// After gives the documents whose ids are above id.
func (f *File) After(id string) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for at := f.search(func(i int) bool { return f.id(i) > id }); at < f.Len() && yield(f.record(at)); at++ {
		}
	}
}

// Close unmaps the file.
func (f *File) Close() error {
	raw := f.raw
	f.raw, f.index = nil, nil
	if raw == nil {
		return nil
	}
	return syscall.Munmap(raw)
}

func (f *File) search(reached func(int) bool) int { return sort.Search(f.Len(), reached) }

func (f *File) entry(i int) entry { return entryOf(f.index[i*entrySize:]) }

func (f *File) id(i int) string {
	e := f.entry(i)
	return text(f.raw[e.offset:][:e.id])
}

func (f *File) record(i int) Record {
	e := f.entry(i)
	whole := f.raw[e.offset:e.end():e.end()]
	return Record{ID: text(whole[:e.id]), Document: whole[e.id:], Sum: e.sum}
}

// text is a string that shares the mapping's bytes; it lives as long as the mapping, as Record says.
func text(raw []byte) string { return unsafe.String(unsafe.SliceData(raw), len(raw)) }
