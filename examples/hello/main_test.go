package main

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// secure is a TLS server whose certificate is the only root of this process, see TestMain.
var secure *httptest.Server

// TestMain points the process at roots of its own before crypto/x509 reads them, which it does once.
func TestMain(m *testing.M) {
	secure = httptest.NewTLSServer(http.NotFoundHandler())
	folder, err := os.MkdirTemp("", "hello-roots-")
	if err != nil {
		panic(err)
	}
	roots := filepath.Join(folder, "roots.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(roots, block, 0o600); err != nil {
		panic(err)
	}
	os.Setenv("SSL_CERT_FILE", roots)
	os.Setenv("SSL_CERT_DIR", folder+"/none")
	code := m.Run()
	secure.Close()
	os.RemoveAll(folder)
	os.Exit(code)
}

// get asks one path and decodes the answer into a T.
func get[T any](t *testing.T, path string, status int) T {
	t.Helper()
	recorder := httptest.NewRecorder()
	routes().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	if recorder.Code != status {
		t.Fatalf("%s: status %d, want %d: %s", path, recorder.Code, status, recorder.Body)
	}
	var value T
	if err := json.Unmarshal(recorder.Body.Bytes(), &value); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return value
}

func TestGreetsWithItsVersion(t *testing.T) {
	if got := get[greeting](t, "/", http.StatusOK); got.Hello != "world" || got.Version != "devel" {
		t.Errorf("got %+v", got)
	}
}

func TestTellsTheTimeOfAZone(t *testing.T) {
	if got := get[zoned](t, "/time?zone=Asia/Shanghai", http.StatusOK); got.Offset != 8*60*60 {
		t.Errorf("offset %d, want 8 hours", got.Offset)
	}
}

func TestRefusesAnUnknownZone(t *testing.T) {
	if got := get[refusal](t, "/time?zone=Nowhere/Land", http.StatusNotFound); !strings.Contains(got.Error, "Nowhere/Land") {
		t.Errorf("the answer does not name the zone: %q", got.Error)
	}
}

func TestNamesItsUser(t *testing.T) {
	if got := get[account](t, "/user", http.StatusOK); got.ID == "" || got.Name == "" {
		t.Errorf("got %+v", got)
	}
}

func TestVerifiesAServerItsRootsKnow(t *testing.T) {
	address := strings.TrimPrefix(secure.URL, "https://")
	got := get[verdict](t, "/tls?address="+address, http.StatusOK)
	if got.Roots != 1 || !got.Verified || got.Protocol != "TLS 1.3" || len(got.Chain) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestRefusesAServerOfAnotherName(t *testing.T) {
	address := strings.Replace(secure.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	got := get[verdict](t, "/tls?address="+address, http.StatusBadGateway)
	if got.Verified || !strings.Contains(got.Problem, "localhost") {
		t.Errorf("got %+v", got)
	}
}

func TestStopsOnSIGTERM(t *testing.T) {
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run("127.0.0.1:0", slog.New(slog.NewJSONHandler(writer, nil))) }()
	lines := json.NewDecoder(reader)
	if line := next(t, lines); line["msg"] != "listening" {
		t.Fatalf("first it logs %v", line)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(drain + time.Second):
		t.Fatal("still running after the drain limit")
	}
}

func next(t *testing.T, lines *json.Decoder) map[string]any {
	t.Helper()
	var line map[string]any
	if err := lines.Decode(&line); err != nil {
		t.Fatal(err)
	}
	return line
}
