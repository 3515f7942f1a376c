package guard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"example.com/videometa/internal/limits"
)

// paced is a body that has to come at some rate: one that is too far behind ends in a time-out, and so does one that is not
// whole at the request's deadline. A body that never comes gives its place back so.
type paced struct {
	io.ReadCloser
	control *http.ResponseController
	limits  limits.Table
	ends    time.Time     // the request's deadline
	waited  time.Duration // for the client, and not for us
	got     int64
}

func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

func (p *paced) Read(into []byte) (int, error) {
	left := p.limits.Stall + time.Duration(float64(p.got)/float64(p.limits.BodyRate)*float64(time.Second)) - p.waited
	began := time.Now()
	until := began.Add(left)
	if p.ends.Before(until) {
		until = p.ends
	}
	_ = p.control.SetReadDeadline(until) // a test's recorder has none
	n, err := p.ReadCloser.Read(into)
	waited := time.Since(began)
	p.got, p.waited = p.got+int64(n), p.waited+waited
	switch {
	case err == io.EOF:
		_ = p.control.SetReadDeadline(time.Time{}) // net/http looks for the connection's end now, and would take it for that
	case errors.Is(err, os.ErrDeadlineExceeded) && until == p.ends && waited < p.limits.Stall/10:
		err = context.DeadlineExceeded // it was here: we have not looked at it in time
	}
	return n, err
}
