// Package batch reads a list of JSON documents out of a request, as a stream: one of them is held at a time, within a
// budget of memory that all requests share.
package batch

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// errNotAList says what a batch should be.
var errNotAList = errors.New("the body should be a JSON list of documents")

func tooMany(most int) error {
	return Refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body should have at most %d documents", most)}
}

func tooLong(most int64) error {
	return Refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("a document should be at most %d bytes", most)}
}

// limited is a body after decompression; one that is too long ends in an error, and so does one that can't be read.
type limited struct {
	from io.Reader
	left int64
	most int64
}

func (l *limited) Read(into []byte) (int, error) {
	n, err := l.from.Read(into)
	if l.left -= int64(n); l.left < 0 {
		return 0, Refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body should be at most %d bytes after decompression", l.most)}
	}
	if err != nil && err != io.EOF {
		err = bodyFailure(err)
	}
	return n, err
}
