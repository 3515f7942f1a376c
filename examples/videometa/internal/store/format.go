package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// A store is a header, the records (an id and its document, one behind the other) and the index, in the order of ids.
// All numbers are little-endian. The header is written last: a file that was cut short has none.
//
//	header  magic 8 | records 8 | offset of the index 8
//	entry   offset of the record 8 | length of the id 4 | of the document 4 | sum of the document 8
const (
	magic      = "vmeta-1\n"
	headerSize = len(magic) + 16
	entrySize  = 24
)

type entry struct {
	offset   uint64
	id, size uint32
	sum      uint64
}

func (e entry) end() uint64 { return e.offset + uint64(e.id) + uint64(e.size) }

func (e entry) append(to []byte) []byte {
	to = binary.LittleEndian.AppendUint64(to, e.offset)
	to = binary.LittleEndian.AppendUint32(to, e.id)
	to = binary.LittleEndian.AppendUint32(to, e.size)
	return binary.LittleEndian.AppendUint64(to, e.sum)
}

func entryOf(raw []byte) entry {
	return entry{
		offset: binary.LittleEndian.Uint64(raw),
		id:     binary.LittleEndian.Uint32(raw[8:]),
		size:   binary.LittleEndian.Uint32(raw[12:]),
		sum:    binary.LittleEndian.Uint64(raw[16:]),
	}
}

func header(records int, index int64) []byte {
	raw := binary.LittleEndian.AppendUint64([]byte(magic), uint64(records))
	return binary.LittleEndian.AppendUint64(raw, uint64(index))
}

// indexOf finds the index, and refuses a file of which any entry leads outside of the records.
func indexOf(raw []byte) ([]byte, error) {
	if len(raw) < headerSize || string(raw[:len(magic)]) != magic {
		return nil, fmt.Errorf("it does not start with %q: not a store, or cut short while it was written", magic)
	}
	records, start := binary.LittleEndian.Uint64(raw[len(magic):]), binary.LittleEndian.Uint64(raw[len(magic)+8:])
	size := uint64(len(raw))
	if start < uint64(headerSize) || start > size || (size-start)%entrySize != 0 || (size-start)/entrySize != records {
		return nil, fmt.Errorf("%d bytes can't hold an index of %d records from byte %d", size, records, start)
	}
	index := raw[start:]
	for at := 0; at < len(index); at += entrySize {
		if e := entryOf(index[at:]); e.offset < uint64(headerSize) || e.offset > start || e.end() > start {
			return nil, fmt.Errorf("record %d is said to be at bytes %d to %d, the index starts at %d", at/entrySize, e.offset, e.end(), start)
		}
	}
	return index, nil
}

func sumOf(document []byte) uint64 {
	whole := sha256.Sum256(document)
	return binary.LittleEndian.Uint64(whole[:])
}
