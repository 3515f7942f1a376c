package api

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"

	"example.com/videometa/internal/parse"
)

// buffers hold answers, bodies requests. One that a large request has blown up isn't kept. What a picker gives is part of
// the document, so it is copied into the answer before the document's buffer, or the picker, goes back.
var (
	pickers = newPool(func() *parse.Picker { return new(parse.Picker) })
	buffers = newPool(func() *[]byte { empty := make([]byte, 0, 4096); return &empty })
	bodies  = newPool(func() *bytes.Buffer { return new(bytes.Buffer) })
)

const mostKept = 1 << 20

// failure is an error whose status the client is told.
type failure struct {
	status int
	reason string
}

func (f failure) Error() string { return f.reason }

// read gives a request's body, decompressed; it is valid until the buffer is used again.
func (a *API) read(w http.ResponseWriter, r *http.Request, into *bytes.Buffer) error {
	var from io.Reader = http.MaxBytesReader(w, r.Body, a.limits.Body)
	switch coding := r.Header.Get("Content-Encoding"); coding {
	case "", "identity":
	case "gzip":
		plain, err := gzip.NewReader(from)
		if err != nil {
			return bodyFailure(err)
		}
		from = plain
	default:
		w.Header().Set("Accept-Encoding", "gzip") // RFC 9110, section 12.5.3: what would have been taken
		return failure{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %q: should be gzip, or none", coding)}
	}
	if _, err := into.ReadFrom(io.LimitReader(from, a.limits.Plain+1)); err != nil {
		return bodyFailure(err)
	}
	if int64(into.Len()) > a.limits.Plain {
		return failure{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body should be at most %d bytes after decompression", a.limits.Plain)}
	}
	return nil
}

func bodyFailure(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return failure{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body should be at most %d bytes", large.Limit)}
	}
	return failure{http.StatusBadRequest, "the body could not be read: " + err.Error()}
}
