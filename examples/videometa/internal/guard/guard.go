// Package guard is what every request passes before its handler: it is given a trace and a deadline, turned away where it
// came too early or as one too many, and counted and logged when it ends, whatever became of it.
package guard

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"example.com/videometa/internal/limits"
)

// Recorder hears of requests, for metrics. Route is the pattern that matched, "" where none did.
type Recorder interface {
	Began()
	Ended(route, method, protocol string, status int, took time.Duration)
	Shed()
	Panicked()
}

// Guard is a handler before another one.
type Guard struct {
	next     http.Handler
	recorder Recorder
	log      *slog.Logger
	limits   limits.Table
	plain    *places // of requests that are all here
	bodies   *places // of those whose body is still to come: they can't take the places of the others
}

// New guards next: no request takes longer than Request of the limits, and no more than InFlight and Bodies are at work.
func New(next http.Handler, recorder Recorder, log *slog.Logger, table limits.Table) *Guard {
	return &Guard{next, recorder, log, table, newPlaces(table.InFlight, table.Share), newPlaces(table.Bodies, table.Share)}
}

// ServeHTTP serves a request.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	trace := traceOf(r.Header)
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), traceKey{}, trace), g.limits.Request)
	defer cancel()
	r = r.WithContext(ctx)
	answer := &answer{ResponseWriter: w}
	w.Header().Set("X-Request-Id", trace.RequestID)
	g.recorder.Began()
	defer func() {
		// http.ErrAbortHandler is not a fault, but a handler's way to break the connection: it goes on from here.
		fault := recover()
		if fault != nil && fault != http.ErrAbortHandler {
			fault = g.panicked(answer, trace, fault)
		}
		g.ended(r, answer, trace, time.Since(began))
		if fault != nil {
			panic(fault)
		}
	}()
	g.admit(answer, r)
}

func (g *Guard) admit(w http.ResponseWriter, r *http.Request) {
	if tooEarly(r) {
		// RFC 8470, section 5.2: the client sends it again when the handshake is complete.
		refuse(w, http.StatusTooEarly, "early data may be a replay: send it again after the handshake")
		return
	}
	places := g.plain
	if hasBody(r) {
		places = g.bodies
		body := &paced{ReadCloser: r.Body, control: http.NewResponseController(w), limits: g.limits}
		body.ends, _ = r.Context().Deadline()
		r.Body = body
	}
	leave, ok := places.take(r.RemoteAddr)
	if !ok {
		g.recorder.Shed()
		w.Header().Set("Retry-After", "1")
		if r.ProtoMajor == 1 && hasBody(r) {
			w.Header().Set("Connection", "close") // or net/http would read the body before it answers
		}
		refuse(w, http.StatusServiceUnavailable, "too many requests at once")
		return
	}
	defer leave()
	g.next.ServeHTTP(w, r)
}

// tooEarly tells whether a request came as TLS early data, which others can replay, although it may change something.
//
// HTTP/3's handlers run before the handshake is complete for 0-RTT requests alone; net/http knows no early data at all.
// RFC 8470, section 5.1: a proxy before us that took early data says so.
func tooEarly(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return r.Header.Get("Early-Data") == "1" || r.TLS != nil && !r.TLS.HandshakeComplete
}

// panicked gives what has to be panicked on with: nothing where an answer could still be given.
func (g *Guard) panicked(w *answer, trace Trace, fault any) any {
	g.recorder.Panicked()
	g.log.Error("panic", "fault", fault, "request_id", trace.RequestID, "stack", string(debug.Stack()))
	if w.status == 0 {
		refuse(w, http.StatusInternalServerError, "internal error")
		return nil
	}
	return http.ErrAbortHandler // Half an answer is on its way: the client shall not take it for a whole one.
}

func (g *Guard) ended(r *http.Request, w *answer, trace Trace, took time.Duration) {
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	g.recorder.Ended(r.Pattern, r.Method, r.Proto, status, took)
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError // which is never sampled away
	}
	g.log.LogAttrs(r.Context(), level, "request",
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("proto", r.Proto),
		slog.Int("status", status), slog.Int64("bytes", w.bytes), slog.Duration("took", took),
		slog.String("request_id", trace.RequestID), slog.String("trace_id", trace.TraceID))
}

// answer remembers what was answered.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *answer) WriteHeader(status int) {
	if status >= 200 && a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(body []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(body)
	a.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"error":"` + reason + `"}` + "\n")) // the client may have gone away
}
