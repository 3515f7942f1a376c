package guard

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
)

// Trace is what a request is known by: here, in logs, and at the instances that we ask on its behalf.
type Trace struct {
	RequestID string
	TraceID   string // 32 hexadecimal digits
	SpanID    string // 16, ours
	Flags     string // 2, as they came
}

type traceKey struct{}

// TraceOf gives the trace of a request's context; it is empty outside of one.
func TraceOf(ctx context.Context) Trace {
	trace, _ := ctx.Value(traceKey{}).(Trace)
	return trace
}

// Headers tells the next service of the trace.
func (t Trace) Headers(to http.Header) {
	if t.TraceID != "" {
		to.Set("Traceparent", "00-"+t.TraceID+"-"+t.SpanID+"-"+t.Flags)
		to.Set("X-Request-Id", t.RequestID)
	}
}

// traceOf goes on with the caller's trace, or begins one.
//
// Source: W3C Trace Context (2021-11-23), section 3.2.
func traceOf(from http.Header) Trace {
	trace := Trace{RequestID: from.Get("X-Request-Id"), SpanID: fmt.Sprintf("%016x", 1+rand.Uint64N(1<<64-1)), Flags: "00"}
	if !plain(trace.RequestID) {
		trace.RequestID = fmt.Sprintf("%016x", rand.Uint64())
	}
	if id, flags, ok := parseTraceparent(from.Get("Traceparent")); ok {
		trace.TraceID, trace.Flags = id, flags
	} else {
		trace.TraceID = fmt.Sprintf("%016x%016x", 1+rand.Uint64N(1<<64-1), rand.Uint64())
	}
	return trace
}

// parseTraceparent reads version 00, and what later versions share with it.
func parseTraceparent(value string) (traceID, flags string, ok bool) {
	parts := strings.Split(value, "-")
	if len(parts) < 4 || parts[0] == "00" && len(parts) != 4 || parts[0] == "ff" {
		return "", "", false
	}
	for i, length := range []int{2, 32, 16, 2} {
		if len(parts[i]) != length || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return "", "", false
		}
	}
	if strings.Trim(parts[1], "0") == "" || strings.Trim(parts[2], "0") == "" {
		return "", "", false
	}
	return parts[1], parts[3], true
}

// plain tells whether a stranger's request ID may go into our logs and headers.
func plain(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}
