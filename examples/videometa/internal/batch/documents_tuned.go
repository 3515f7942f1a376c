//go:build !baseline

package batch

import (
	"bytes"
	"io"

	"example.com/videometa/internal/budget"
	"example.com/videometa/internal/pool"
)

const (
	chunkSize = 8 << 10
	// frame is what a validator's recursion takes of the stack for each level of a document, generously.
	frame = 512
)

// Documents cuts a list out of a stream, and holds one document of it at a time. Space between and in documents is not
// held: a run of it becomes one blank.
//
// It looks no closer than it has to: if every document is JSON, and the caller sees to that, so was the list.
type Documents struct {
	from     io.ReadCloser
	most     int
	longest  int64 // document
	hold     *budget.Hold
	chunk    []byte // what was read; from at on it is not looked at yet
	at, end  int
	document []byte
	depth    int
	deepest  int // for which the budget was asked
	count    int
	begun    bool
}

var scanners = pool.New(func() *Documents {
	return &Documents{chunk: make([]byte, chunkSize), document: make([]byte, 0, 4096)}
})

func newDocuments(from io.ReadCloser, most int, longest int64, hold *budget.Hold) *Documents {
	d := scanners.Get()
	*d = Documents{from: from, most: most, longest: longest, hold: hold, chunk: d.chunk, document: d.document[:0]}
	return d
}

// Release gives back what was read with; the last document is gone then.
func (d *Documents) Release() {
	_ = d.from.Close()
	if cap(d.document) <= mostKept {
		d.from, d.hold = nil, nil
		scanners.Put(d)
	}
}

// Next gives the next document, which is valid until the one after; io.EOF is the end of the list.
func (d *Documents) Next() ([]byte, error) {
	if !d.begun {
		d.begun = true
		if !d.hold.Enter(int64(chunkSize + cap(d.document))) {
			return nil, ErrFull
		}
		if c, err := d.blank(); err != nil || c != '[' {
			return nil, notAList(err)
		}
		d.at++
		c, err := d.blank()
		if err != nil {
			return nil, notAList(err)
		}
		if c == ']' {
			d.at++
			return nil, d.over()
		}
	} else if d.depth < 0 {
		return nil, d.over()
	}
	if d.count++; d.count > d.most {
		return nil, tooMany(d.most)
	}
	return d.cut()
}

// cut takes a document, and the comma or the bracket behind it; a bracket makes the depth -1.
func (d *Documents) cut() ([]byte, error) {
	d.document = d.document[:0]
	for {
		c, err := d.blank()
		if err != nil {
			return nil, notAList(err)
		}
		switch c {
		case ',':
			if d.depth == 0 {
				d.at++
				return d.document, nil
			}
		case ']', '}':
			d.depth--
			if d.depth < 0 {
				d.at++
				if c == '}' {
					return nil, errNotAList
				}
				return d.document, nil
			}
		case '[', '{':
			d.depth++
			if d.depth > d.deepest {
				if d.deepest += 64; !d.hold.Grow(64 * frame) {
					return nil, ErrFull
				}
			}
		case '"':
			if err := d.text(); err != nil {
				return nil, notAList(err)
			}
			continue
		}
		if err := d.take(d.at + 1); err != nil {
			return nil, err
		}
	}
}

// text takes a string, quotes and all.
func (d *Documents) text() error {
	if err := d.take(d.at + 1); err != nil {
		return err
	}
	for {
		found := bytes.IndexAny(d.chunk[d.at:d.end], `"\`)
		if found < 0 {
			if err := d.take(d.end); err != nil {
				return err
			}
			if err := d.fill(); err != nil {
				return err
			}
			continue
		}
		quote := d.chunk[d.at+found] == '"'
		if err := d.take(d.at + found + 1); err != nil {
			return err
		}
		if quote {
			return nil
		}
		if d.at == d.end {
			if err := d.fill(); err != nil {
				return err
			}
		}
		if err := d.take(d.at + 1); err != nil { // what is escaped
			return err
		}
	}
}

// take moves what was looked at to the document.
func (d *Documents) take(to int) error {
	if err := d.room(to - d.at); err != nil {
		return err
	}
	d.document = append(d.document, d.chunk[d.at:to]...)
	d.at = to
	return nil
}

// room sees to room for more of the document.
func (d *Documents) room(more int) error {
	need, before := len(d.document)+more, cap(d.document)
	if int64(need) > d.longest {
		return tooLong(d.longest)
	}
	if need <= before {
		return nil
	}
	after := max(need, before+before/2)
	if !d.hold.Grow(int64(after)) {
		return ErrFull
	}
	larger := make([]byte, len(d.document), after)
	copy(larger, d.document)
	d.document = larger
	d.hold.Shrink(int64(before))
	return nil
}

// blank passes over space, and gives the byte behind it, which is not taken. Within a document one blank stays of it.
func (d *Documents) blank() (byte, error) {
	space := false
	for {
		for ; d.at < d.end; d.at++ {
			switch c := d.chunk[d.at]; c {
			case ' ', '\t', '\r', '\n':
				space = true
			default:
				if space && len(d.document) > 0 {
					if err := d.room(1); err != nil {
						return 0, err
					}
					d.document = append(d.document, ' ')
				}
				return c, nil
			}
		}
		if err := d.fill(); err != nil {
			return 0, err
		}
	}
}

func (d *Documents) fill() error {
	for range 100 {
		n, err := d.from.Read(d.chunk)
		d.at, d.end = 0, n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// over is io.EOF where nothing comes behind the list.
func (d *Documents) over() error {
	d.document = d.document[:0]
	if _, err := d.blank(); err != io.EOF {
		return notAList(err)
	}
	return io.EOF
}

// notAList keeps a refusal as it is; any other error, the end among them, says that there is no list.
func notAList(err error) error {
	if refused, is := err.(Refusal); is {
		return refused
	}
	return errNotAList
}
