package batch

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"

	"example.com/videometa/internal/budget"
	"example.com/videometa/internal/limits"
	"example.com/videometa/internal/pool"
)

var unzips = pool.New(func() *gzip.Reader { return new(gzip.Reader) })

const (
	mostKept  = 64 << 10
	unzipSize = 48 << 10 // what a gzip.Reader takes: its window of 32 kB, its tables and a buffer
)

// Refusal is an error with the status of the answer.
type Refusal struct {
	Status int
	Reason string
}

func (r Refusal) Error() string { return r.Reason }

var (
	// ErrFull says that bodies hold all the memory they may.
	ErrFull = Refusal{http.StatusServiceUnavailable, "too much to hold at once"}
	// ErrLate says that we were not done in time.
	ErrLate = Refusal{http.StatusServiceUnavailable, "it took too long"}
)

// Opener opens the bodies of requests.
type Opener struct {
	limits limits.Table
	turns  turns
}

// NewOpener makes one.
func NewOpener(table limits.Table) *Opener { return &Opener{table, make(turns, runtime.GOMAXPROCS(0))} }

// Open gives the documents of a request's body; what is held of them is taken from hold.
func (o *Opener) Open(w http.ResponseWriter, r *http.Request, hold *budget.Hold) (*Documents, error) {
	body, err := o.body(w, r, hold)
	if err != nil {
		return nil, err
	}
	return newDocuments(body, o.limits.Batch, o.limits.Document, hold), nil
}

// requestBody is a request's body, decompressed.
type requestBody struct {
	limited
	raw   *polite
	unzip *gzip.Reader // nil where it isn't compressed
}

func (b *requestBody) Close() error {
	b.raw.release()
	if b.unzip != nil {
		unzips.Put(b.unzip)
	}
	return nil
}

func (o *Opener) body(w http.ResponseWriter, r *http.Request, hold *budget.Hold) (*requestBody, error) {
	raw := &polite{ctx: r.Context(), from: http.MaxBytesReader(w, r.Body, o.limits.Body), turns: o.turns}
	body := &requestBody{limited: limited{from: raw, left: o.limits.Plain, most: o.limits.Plain}, raw: raw}
	switch coding := r.Header.Get("Content-Encoding"); coding {
	case "", "identity":
		return body, nil
	case "gzip":
		// Most are read whole, and then have one turn.
		room := min(max(r.ContentLength, 4<<10), mostKept)
		if !hold.Enter(unzipSize + room) {
			return nil, ErrFull
		}
		body.unzip = unzips.Get()
		if err := body.unzip.Reset(bufio.NewReaderSize(raw, int(room))); err != nil {
			_ = body.Close()
			return nil, bodyFailure(err)
		}
		body.from = body.unzip
		return body, nil
	default:
		w.Header().Set("Accept-Encoding", "gzip") // RFC 9110, section 12.5.3: what would have been taken
		return nil, Refusal{http.StatusUnsupportedMediaType, fmt.Sprintf("Content-Encoding %q: should be gzip, or none", coding)}
	}
}

func bodyFailure(err error) error {
	var refused Refusal
	if errors.As(err, &refused) {
		return refused
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return Refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body should be at most %d bytes", large.Limit)}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return ErrLate
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return Refusal{http.StatusRequestTimeout, "the body came too slowly"}
	}
	return Refusal{http.StatusBadRequest, "the body could not be read: " + err.Error()}
}
