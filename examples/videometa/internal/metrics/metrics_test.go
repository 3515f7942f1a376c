package metrics

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"example.com/videometa/internal/breaker"
	"example.com/videometa/internal/discovery"
)

func everything() *Metrics {
	m := New("v1", "tuned")
	m.Breaker("peer", breaker.New(breaker.Config{}).Snapshot)
	m.Registrar(func() discovery.Standing { return discovery.Standing{Registered: true, Beats: 7} })
	m.Resolver("videos", func() discovery.Knowledge { return discovery.Knowledge{Instances: 3, Away: true} })
	m.Logs(func() map[slog.Level]uint64 { return map[slog.Level]uint64{slog.LevelInfo: 5} })
	return m
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	if recorder.Code != http.StatusOK {
		t.Fatalf("/metrics answers %d: %s", recorder.Code, recorder.Body)
	}
	return recorder.Body.String()
}

func TestRequestsAreCounted(t *testing.T) {
	m := everything()
	handler := m.Count("GET /v1/videos/{id}", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNotFound)
	}))
	for _, method := range []string{"GET", "GET", "BREW"} {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/v1/videos/v1", nil))
	}

	said := scrape(t, m)

	for _, line := range []string{
		`videometa_requests_total{code="404",method="GET",protocol="HTTP/1.1",route="GET /v1/videos/{id}"} 2`,
		`videometa_requests_total{code="404",method="other",protocol="HTTP/1.1",route="GET /v1/videos/{id}"} 1`,
		`videometa_request_duration_seconds_count{route="GET /v1/videos/{id}"} 3`,
		`videometa_requests_in_flight 0`,
		`videometa_breaker_state{dependency="peer"} 0`,
		`videometa_registered 1`,
		`videometa_beats_total 7`,
		`videometa_instances{service="videos"} 3`,
		`videometa_instances_away{service="videos"} 1`,
		`videometa_log_lines_dropped_total{level="INFO"} 5`,
		`videometa_build_info{build="tuned",version="v1"} 1`,
		`go_gc_duration_seconds_count`,
	} {
		if !strings.Contains(said, line) {
			t.Errorf("%s is missing", line)
		}
	}
}

func TestAHandlerThatPanicsIsCounted(t *testing.T) {
	m := New("v1", "tuned")
	handler := m.Count("x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("x") }))
	func() {
		defer func() { _ = recover() }()
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	if said := scrape(t, m); !strings.Contains(said, "videometa_requests_in_flight 0") {
		t.Error("it is still at work")
	}
}

// Prometheus's own tool judges the format and the names.
func TestPromtoolLikesIt(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (`make peers` installs it)")
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(scrape(t, everything()))
	var out bytes.Buffer
	check.Stdout, check.Stderr = &out, &out
	if err := check.Run(); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
}

func BenchmarkCount(b *testing.B) {
	handler := New("v1", "tuned").Count("x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	recorder, request := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(recorder, request)
	}
}
