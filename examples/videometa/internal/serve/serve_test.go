package serve

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/videometa/internal/certs/certstest"
	"example.com/videometa/internal/config"
	"example.com/videometa/internal/limits"
	"example.com/videometa/internal/metrics"
	"example.com/videometa/internal/store"
)

// started is a service of one test; trusted is the TLS of a client that knows its certificate.
type started struct {
	*Service
	trusted *tls.Config
}

func start(t *testing.T, flags ...string) started {
	t.Helper()
	return startWith(t, func(*limits.Table) {}, flags...)
}

func startWith(t *testing.T, change func(*limits.Table), flags ...string) started {
	t.Helper()
	certFile, keyFile := certstest.Write(t, t.TempDir(), "videometa")
	all := append([]string{
		"-http", "127.0.0.1:0", "-https", "127.0.0.1:0", "-h3", "-tls-cert", certFile, "-tls-key", keyFile,
		"-admin", "127.0.0.1:0", "-store", videos(t), "-notice", "0s",
	}, flags...)
	c, err := config.Parse(all, func(string) string { return "" }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	change(&c.Limits)
	s, err := Start(c, "v1", slog.New(slog.DiscardHandler), metrics.New("v1", "test"))
	if err != nil {
		t.Fatal(err)
	}
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	trusted := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	trusted.RootCAs.AppendCertsFromPEM(certPEM)
	return started{s, trusted}
}

func videos(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "videos")
	w, err := store.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add("v000001", []byte(`{"id":"v000001","title":"Rain"}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s started) drained(t *testing.T) {
	t.Helper()
	if err := s.Drain(); err != nil {
		t.Errorf("drain: %v", err)
	}
}

// client speaks the protocols, and those alone.
func (s started) client(t *testing.T, set func(*http.Protocols, bool)) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	set(protocols, true)
	transport := &http.Transport{TLSClientConfig: s.trusted.Clone(), Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func (s started) url(name, path string) string {
	scheme := "http"
	if name == "https" || name == "h3" {
		scheme = "https"
	}
	return scheme + "://" + s.Address(name).String() + path
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestTheSameAnswerByEveryProtocolOfTCP(t *testing.T) {
	s := start(t)
	defer s.drained(t)
	for _, c := range []struct {
		listener, proto string
		set             func(*http.Protocols, bool)
	}{
		{"http", "HTTP/1.1", (*http.Protocols).SetHTTP1}, {"http", "HTTP/2.0", (*http.Protocols).SetUnencryptedHTTP2},
		{"https", "HTTP/1.1", (*http.Protocols).SetHTTP1}, {"https", "HTTP/2.0", (*http.Protocols).SetHTTP2},
	} {
		response, body := get(t, s.client(t, c.set), s.url(c.listener, "/v1/videos/v000001"))
		if response.Proto != c.proto || response.StatusCode != 200 || !strings.Contains(body, `"title":"Rain"`) {
			t.Errorf("%+v: %s %d %s", c, response.Proto, response.StatusCode, body)
		}
		advertised := strings.HasPrefix(response.Header.Get("Alt-Svc"), `h3=":`)
		if advertised != (c.listener == "https") {
			t.Errorf("%+v: Alt-Svc is %q", c, response.Header.Get("Alt-Svc"))
		}
	}
}

func TestOperatorsSeeHealthMetricsAndProfiles(t *testing.T) {
	s := start(t)
	defer s.drained(t)
	client := s.client(t, (*http.Protocols).SetHTTP1)
	get(t, client, s.url("http", "/v1/videos/v000001"))
	for path, word := range map[string]string{
		"/healthz": `"status":"ok"`, "/readyz": `"ready":true`,
		"/metrics":                       `videometa_requests_total{code="200",method="GET",protocol="HTTP/1.1",route="GET /v1/videos/{id}"} 1`,
		"/debug/pprof/goroutine?debug=1": "goroutine profile:",
		"/debug/pprof/heap":              "\x1f\x8b", // gzip
		"/debug/pprof/profile?seconds=1": "\x1f\x8b",
	} {
		if response, body := get(t, client, s.url("admin", path)); response.StatusCode != 200 || !strings.Contains(body, word) {
			t.Errorf("admin %s: %d, no %q", path, response.StatusCode, word)
		}
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 404, "/debug/pprof/heap": 404} {
		if response, _ := get(t, client, s.url("http", path)); response.StatusCode != want {
			t.Errorf("public %s: %d, want %d", path, response.StatusCode, want)
		}
	}
	if response, _ := get(t, client, s.url("admin", "/debug/pprof/profile?seconds=61")); response.StatusCode != 400 {
		t.Errorf("a profile of a minute and more: %d", response.StatusCode)
	}
}

func TestADrainLosesNoRequest(t *testing.T) {
	s := startWith(t, func(table *limits.Table) { table.Stall, table.Request = time.Minute, time.Minute }, "-notice", "100ms")
	client := s.client(t, (*http.Protocols).SetHTTP1)
	// A request whose body isn't all here is in flight for as long as we like.
	reader, writer := io.Pipe()
	answered := make(chan string, 1)
	go func() {
		response, err := client.Post(s.url("http", "/v1/videos:parse"), "application/json", reader)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answered <- string(body)
	}()
	if _, err := io.WriteString(writer, `[{"id":"a"`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request is in flight", func() bool {
		_, body := get(t, client, s.url("admin", "/metrics"))
		return strings.Contains(body, "videometa_requests_in_flight 1")
	})
	done := make(chan error, 1)
	go func() { done <- s.Drain() }()
	eventually(t, "it is unready", func() bool {
		response, body := get(t, client, s.url("admin", "/readyz"))
		return response.StatusCode == 503 && strings.Contains(body, "draining")
	})
	eventually(t, "the listener is closed", func() bool {
		response, err := client.Get(s.url("http", "/healthz"))
		if err == nil {
			response.Body.Close()
		}
		return err != nil
	})
	_, _ = io.WriteString(writer, `}]`)
	writer.Close()
	if got := <-answered; !strings.Contains(got, `"id":"a"`) {
		t.Errorf("the request in flight got %s", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhileItDrainsClientsAreSentElsewhere(t *testing.T) {
	s := start(t)
	defer s.drained(t)
	s.health.draining.Store(true)
	response, _ := get(t, s.client(t, (*http.Protocols).SetHTTP1), s.url("http", "/v1/videos/v000001"))
	if response.StatusCode != 200 || !response.Close {
		t.Errorf("%d, close: %t", response.StatusCode, response.Close)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("after 10 s it does not hold that %s", what)
}

func TestAStartThatFailsLeavesNothingOpen(t *testing.T) {
	s := start(t)
	defer s.drained(t)
	c := s.config
	c.HTTP, c.Admin = "127.0.0.1:0", s.Address("admin").String() // taken
	if _, err := Start(c, "v1", slog.New(slog.DiscardHandler), metrics.New("v1", "test")); err == nil ||
		!strings.HasPrefix(err.Error(), "admin: ") {
		t.Errorf("got %v", err)
	}
	c.Store = "none"
	if _, err := Start(c, "v1", slog.New(slog.DiscardHandler), metrics.New("v1", "test")); err == nil {
		t.Error("it started without its store")
	}
}

func TestReadyzIsOneDocument(t *testing.T) {
	s := start(t)
	defer s.drained(t)
	_, body := get(t, s.client(t, (*http.Protocols).SetHTTP1), s.url("http", "/readyz"))
	var now readiness
	if err := json.Unmarshal([]byte(body), &now); err != nil || !now.Ready {
		t.Errorf("%s: %v", body, err)
	}
}
