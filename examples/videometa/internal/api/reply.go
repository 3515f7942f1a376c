package api

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"example.com/videometa/internal/pool"
)

// schema is the version of what answers mean: a member may be added to a form, none may change or go.
const schema = "1"

// SchemaHeader has the schema, in every answer: what has it not isn't ours.
const SchemaHeader = "X-Schema"

// worthwhile is how long an answer has to be to be compressed: a shorter one fits into one packet either way.
const worthwhile = 1200

// reply sends JSON, compressed where that helps and the client takes it.
func reply(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set(SchemaHeader, schema)
	header.Set("Vary", "Accept-Encoding, "+hinted)
	if len(body) >= worthwhile && takesGzip(r.Header.Get("Accept-Encoding")) {
		select {
		case compressing <- struct{}{}:
			defer func() { <-compressing }()
			header.Set("Content-Encoding", "gzip")
			w.WriteHeader(status)
			compress(w, body)
			return
		default: // as it is, rather than late
		}
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone away, and nobody else is to be told
}

// compressing are the answers that are being compressed. A compressor takes most of a megabyte, for as long as the client
// takes to read.
var compressing = make(chan struct{}, 16)

func compress(w io.Writer, body []byte) {
	to := compressors.Get()
	defer compressors.Put(to)
	to.Reset(w)
	_, _ = to.Write(body)
	_ = to.Close()
}

// compressors write at level 5: in our documents the default, 6, is a sixth slower for one byte in a hundred.
var compressors = pool.New(func() *gzip.Writer {
	to, err := gzip.NewWriterLevel(io.Discard, 5)
	if err != nil {
		panic(err) // the level is a constant
	}
	return to
})

// busy says that there is no answer now, and when there may be one: in a second, at the least.
func busy(w http.ResponseWriter, r *http.Request, after time.Duration, reason string) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(after.Seconds())))))
	refuse(w, r, http.StatusServiceUnavailable, reason)
}

// refuse says why there is no answer.
func refuse(w http.ResponseWriter, r *http.Request, status int, reason string) {
	body, err := json.Marshal(map[string]string{"error": reason})
	if err != nil {
		panic(err) // a string can be encoded
	}
	w.Header().Set("Cache-Control", "no-store")
	reply(w, r, status, append(body, '\n'))
}
