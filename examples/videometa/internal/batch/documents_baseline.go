//go:build baseline

package batch

import (
	"encoding/json"
	"errors"
	"io"

	"example.com/videometa/internal/budget"
)

// Documents are those of a list, by encoding/json.
type Documents struct {
	from    io.Closer
	decoder *json.Decoder
	most    int
	longest int64 // document
	begun   bool
	count   int
}

func newDocuments(from io.ReadCloser, most int, longest int64, _ *budget.Hold) *Documents {
	return &Documents{from: from, decoder: json.NewDecoder(from), most: most, longest: longest}
}

// Release gives back what was read with.
func (d *Documents) Release() { _ = d.from.Close() }

// Next gives the next document; io.EOF is the end of the list.
func (d *Documents) Next() ([]byte, error) {
	if !d.begun {
		d.begun = true
		if token, err := d.decoder.Token(); err != nil || token != json.Delim('[') {
			return nil, explained(err)
		}
	}
	if !d.decoder.More() {
		if _, err := d.decoder.Token(); err != nil {
			return nil, explained(err)
		}
		if _, err := d.decoder.Token(); err != io.EOF {
			return nil, explained(err)
		}
		return nil, io.EOF
	}
	if d.count++; d.count > d.most {
		return nil, tooMany(d.most)
	}
	var raw json.RawMessage
	if err := d.decoder.Decode(&raw); err != nil {
		return nil, explained(err)
	}
	if int64(len(raw)) > d.longest {
		return nil, tooLong(d.longest)
	}
	return raw, nil
}

func explained(err error) error {
	var failed Refusal
	if errors.As(err, &failed) {
		return failed
	}
	return errNotAList
}
