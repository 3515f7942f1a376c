package api

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"example.com/videometa/internal/budget"
	"example.com/videometa/internal/parse"
)

// buffers hold answers. One that a large request has blown up isn't kept. What a picker gives is part of the document, so
// it is copied into the answer before the next document, or the picker's next use.
var (
	pickers = newPool(func() *parse.Picker { return new(parse.Picker) })
	buffers = newPool(func() *[]byte { empty := make([]byte, 0, 4096); return &empty })
	unzips  = newPool(func() *gzip.Reader { return new(gzip.Reader) })
)

const (
	mostKept  = 64 << 10
	unzipSize = 48 << 10 // what a gzip.Reader takes: its window of 32 kB, its tables and a buffer
)

// failure is an error whose status the client is told.
type failure struct {
	status int
	reason string
}

func (f failure) Error() string { return f.reason }

// requestBody is a request's body, decompressed.
type requestBody struct {
	limited
	raw   *polite
	unzip *gzip.Reader // nil where it isn't compressed
}

func (b *requestBody) release() {
	b.raw.release()
	if b.unzip != nil {
		unzips.put(b.unzip)
	}
}

func (a *API) body(w http.ResponseWriter, r *http.Request, hold *budget.Hold) (*requestBody, error) {
	raw := &polite{ctx: r.Context(), from: http.MaxBytesReader(w, r.Body, a.limits.Body), turns: a.turns}
	body := &requestBody{limited: limited{from: raw, left: a.limits.Plain, most: a.limits.Plain}, raw: raw}
	switch coding := r.Header.Get("Content-Encoding"); coding {
	case "", "identity":
		return body, nil
	case "gzip":
		// Most are read whole, and then have one turn.
		room := min(max(r.ContentLength, 4<<10), mostKept)
		if !hold.Enter(unzipSize + room) {
			return nil, errFull
		}
		body.unzip = unzips.get()
		if err := body.unzip.Reset(bufio.NewReaderSize(raw, int(room))); err != nil {
			body.release()
			return nil, bodyFailure(err)
		}
		body.from = body.unzip
		return body, nil
	default:
		w.Header().Set("Accept-Encoding", "gzip") // RFC 9110, section 12.5.3: what would have been taken
		return nil, failure{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %q: should be gzip, or none", coding)}
	}
}

func bodyFailure(err error) error {
	var told failure
	if errors.As(err, &told) {
		return told
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return failure{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body should be at most %d bytes", large.Limit)}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errLate
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return failure{http.StatusRequestTimeout, "the body came too slowly"}
	}
	return failure{http.StatusBadRequest, "the body could not be read: " + err.Error()}
}
