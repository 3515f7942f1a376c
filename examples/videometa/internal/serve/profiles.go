package serve

import (
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"
)

// Profiles at the addresses that `go tool pprof` asks, by runtime/pprof: net/http/pprof, which shows pages of them and
// compares two, would cost 262 KB of program.

// longestProfile bounds what one request may make the whole service pay for.
const longestProfile = 60

// cpuProfile writes where time went: GET /debug/pprof/profile?seconds=10.
func cpuProfile(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.URL.Query().Get("seconds"))
	if err != nil {
		seconds = 10
	}
	if seconds < 1 || seconds > longestProfile {
		http.Error(w, "seconds: should be 1 to "+strconv.Itoa(longestProfile), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := pprof.StartCPUProfile(w); err != nil {
		http.Error(w, err.Error(), http.StatusConflict) // another one is being made
		return
	}
	defer pprof.StopCPUProfile()
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
	case <-r.Context().Done():
	}
}

// profile writes one of runtime/pprof's own: heap, goroutine, allocs…; ?debug=1 as text.
func profile(w http.ResponseWriter, r *http.Request) {
	found := pprof.Lookup(r.PathValue("name"))
	if found == nil {
		http.NotFound(w, r)
		return
	}
	debug, err := strconv.Atoi(r.URL.Query().Get("debug"))
	if err != nil {
		debug = 0
	}
	_ = found.WriteTo(w, debug) // whoever asked may have gone
}
