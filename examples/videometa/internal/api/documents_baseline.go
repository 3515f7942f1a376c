//go:build baseline

package api

import (
	"encoding/json"
	"errors"
	"io"

	"example.com/videometa/internal/budget"
)

// documents are those of a list, by encoding/json.
type documents struct {
	decoder *json.Decoder
	most    int
	longest int64 // document
	begun   bool
	count   int
}

func newDocuments(from io.Reader, most int, longest int64, _ *budget.Hold) *documents {
	return &documents{decoder: json.NewDecoder(from), most: most, longest: longest}
}

func (d *documents) release() {}

// next gives the next document; io.EOF is the end of the list.
func (d *documents) next() ([]byte, error) {
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
	var failed failure
	if errors.As(err, &failed) {
		return failed
	}
	return errNotAList
}
