package guard

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/quick"
	"time"

	"example.com/videometa/internal/limits"
)

// counts is a recorder of these tests.
type counts struct {
	began, shed, panicked atomic.Int64
	route                 string
	status                int
}

func (c *counts) Began() { c.began.Add(1) }
func (c *counts) Ended(route, _, _ string, status int, _ time.Duration) {
	c.route, c.status = route, status
}
func (c *counts) Shed()     { c.shed.Add(1) }
func (c *counts) Panicked() { c.panicked.Add(1) }

func guarded(handler http.HandlerFunc, inFlight int) (*Guard, *counts, *bytes.Buffer) {
	mux := http.NewServeMux()
	mux.HandleFunc("/x/{id}", handler)
	log, seen := &bytes.Buffer{}, &counts{}
	table := limits.Default()
	table.Request, table.InFlight, table.Bodies = time.Minute, inFlight, inFlight
	return New(mux, seen, slog.New(slog.NewJSONHandler(log, nil)), table), seen, log
}

func ask(g http.Handler, request *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	g.ServeHTTP(recorder, request)
	return recorder
}

func TestARequestHasATraceADeadlineAndAnEntry(t *testing.T) {
	var got Trace
	g, seen, log := guarded(func(_ http.ResponseWriter, r *http.Request) {
		got = TraceOf(r.Context())
		if _, has := r.Context().Deadline(); !has {
			t.Error("no deadline")
		}
	}, 1)
	request := httptest.NewRequest(http.MethodGet, "/x/1", nil)
	request.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	request.Header.Set("X-Request-Id", "mine")
	response := ask(g, request)
	if got.TraceID != "0af7651916cd43dd8448eb211c80319c" || got.Flags != "01" || got.RequestID != "mine" {
		t.Errorf("got %+v", got)
	}
	next := http.Header{}
	got.Headers(next)
	if id, _, ok := parseTraceparent(next.Get("Traceparent")); !ok || id != got.TraceID || strings.Contains(next.Get("Traceparent"), "b7ad6b7169203331") {
		t.Errorf("the next service is told %v", next)
	}
	if response.Header().Get("X-Request-Id") != "mine" || seen.route != "/x/{id}" || seen.status != 200 {
		t.Errorf("answered %v, recorded %q %d", response.Header(), seen.route, seen.status)
	}
	for _, word := range []string{`"path":"/x/1"`, `"status":200`, `"request_id":"mine"`, got.TraceID} {
		if !strings.Contains(log.String(), word) {
			t.Errorf("the log has no %s: %s", word, log)
		}
	}
}

func TestTraceparentsThatArent(t *testing.T) {
	for _, value := range []string{
		"", "00", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
	} {
		if _, _, ok := parseTraceparent(value); ok {
			t.Errorf("%q was taken", value)
		}
	}
	if _, _, ok := parseTraceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later"); !ok {
		t.Error("what a later version adds was refused")
	}
	if err := quick.Check(func(value string) bool { parseTraceparent(value); return true }, nil); err != nil {
		t.Error(err)
	}
}

func TestAStrangersRequestIDHasToBePlain(t *testing.T) {
	for _, id := range []string{"", "a b", "a\"b", "é", strings.Repeat("a", 65)} {
		if got := traceOf(http.Header{"X-Request-Id": {id}}).RequestID; got == id || !plain(got) {
			t.Errorf("%q became %q", id, got)
		}
	}
}

func TestAPanicIsAnAnswerAndCounted(t *testing.T) {
	g, seen, log := guarded(func(http.ResponseWriter, *http.Request) { panic("oh") }, 1)
	for range 2 { // the second shows that the first gave its place back
		if got := ask(g, httptest.NewRequest(http.MethodGet, "/x/1", nil)); got.Code != 500 {
			t.Fatalf("answered %d", got.Code)
		}
	}
	if seen.panicked.Load() != 2 || seen.status != 500 || !strings.Contains(log.String(), `"level":"ERROR","msg":"panic","fault":"oh"`) {
		t.Errorf("recorded %+v, log %s", seen, log)
	}
}

func TestAPanicInAnAnswerBreaksTheConnection(t *testing.T) {
	g, seen, _ := guarded(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic("oh")
	}, 1)
	server := httptest.NewUnstartedServer(g)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	defer server.Close()
	response, err := http.Get(server.URL + "/x/1")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("half an answer passed for a whole one")
	}
	server.Close() // waits for the handler's end
	if seen.route == "" {
		t.Error("it wasn't recorded")
	}
}

func TestOneTooManyIsShed(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	g, seen, _ := guarded(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-leave }, 1)
	go ask(g, httptest.NewRequest(http.MethodGet, "/x/1", nil))
	<-entered
	got := ask(g, httptest.NewRequest(http.MethodGet, "/x/1", nil))
	close(leave)
	if got.Code != 503 || got.Header().Get("Retry-After") == "" || seen.shed.Load() != 1 {
		t.Errorf("answered %d %v", got.Code, got.Header())
	}
}

func TestEarlyDataMayOnlyAsk(t *testing.T) {
	g, _, _ := guarded(func(http.ResponseWriter, *http.Request) {}, 1)
	for _, c := range []struct {
		method   string
		complete bool
		proxied  bool
		want     int
	}{
		{"GET", false, false, 200}, {"HEAD", false, false, 200}, {"OPTIONS", false, true, 200},
		{"POST", false, false, 425}, {"DELETE", false, false, 425}, {"POST", true, true, 425},
		{"POST", true, false, 200},
	} {
		request := httptest.NewRequest(c.method, "/x/1", nil).WithContext(context.Background())
		request.TLS = &tls.ConnectionState{HandshakeComplete: c.complete}
		if c.proxied {
			request.Header.Set("Early-Data", "1")
		}
		if got := ask(g, request).Code; got != c.want {
			t.Errorf("%+v: answered %d", c, got)
		}
	}
}

func TestABodyTakesNoPlaceOfOthers(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	g, seen, _ := guarded(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			entered <- struct{}{}
			<-leave
		}
	}, 1)
	post := func() *http.Request { return httptest.NewRequest(http.MethodPost, "/x/1", strings.NewReader("body")) }
	done := make(chan struct{})
	go func() { defer close(done); ask(g, post()) }()
	<-entered
	if got := ask(g, post()); got.Code != 503 || seen.shed.Load() != 1 {
		t.Errorf("a second body: %d", got.Code)
	}
	if got := ask(g, httptest.NewRequest(http.MethodGet, "/x/1", nil)); got.Code != 200 {
		t.Errorf("a question: %d", got.Code)
	}
	close(leave)
	<-done
}

func TestAnAddressHasAPartOfThePlaces(t *testing.T) {
	p := newPlaces(4, 0.5)
	var leave []func()
	for _, c := range []struct {
		from string
		want bool
	}{
		{"192.0.2.1:1", true}, {"192.0.2.1:2", true}, {"[::ffff:192.0.2.1]:3", false}, {"192.0.2.2:1", true},
		{"[2001:db8::1]:1", true}, {"[2001:db8::2]:1", false}, {"192.0.2.3:1", false},
	} {
		done, ok := p.take(c.from)
		if ok != c.want {
			t.Errorf("%s: %t", c.from, ok)
		}
		if ok {
			leave = append(leave, done)
		}
	}
	for _, done := range leave {
		done()
	}
	if p.taken != 0 || len(p.by) != 0 {
		t.Errorf("left over: %d, %v", p.taken, p.by)
	}
	for _, from := range []string{"[2001:db8::1%eth0]:1", "[2001:db8:0:0:1::]:1"} {
		if got := prefixOf(from).String(); got != "2001:db8::/64" {
			t.Errorf("%s is %s", from, got)
		}
	}
}
