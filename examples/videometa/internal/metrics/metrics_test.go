package metrics

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

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
	for _, verb := range []string{"GET", "GET", "BREW"} {
		m.Began()
		m.Ended("GET /v1/videos/{id}", verb, "HTTP/1.1", http.StatusNotFound, time.Millisecond)
	}
	m.Shed()
	m.Panicked()
	m.BrokenPipe()

	said := scrape(t, m)

	for _, line := range []string{
		`videometa_requests_total{code="404",method="GET",protocol="HTTP/1.1",route="GET /v1/videos/{id}"} 2`,
		`videometa_requests_total{code="404",method="other",protocol="HTTP/1.1",route="GET /v1/videos/{id}"} 1`,
		`videometa_request_duration_seconds_count{route="GET /v1/videos/{id}"} 3`,
		`videometa_request_duration_seconds_bucket{route="GET /v1/videos/{id}",le="0.0005"} 0`,
		`videometa_requests_in_flight 0`,
		`videometa_requests_shed_total 1`,
		`videometa_panics_total 1`,
		`videometa_broken_pipes_total 1`,
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

func BenchmarkEnded(b *testing.B) {
	m := New("v1", "tuned")
	b.ReportAllocs()
	for b.Loop() {
		m.Began()
		m.Ended("GET /v1/videos/{id}", "GET", "HTTP/1.1", http.StatusOK, time.Millisecond)
	}
}
