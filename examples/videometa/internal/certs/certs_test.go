package certs

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"example.com/videometa/internal/certs/certstest"
)

// shown is the name in the certificate that a server shows now; "" where there is no handshake.
func shown(t *testing.T, address string, client *tls.Config) string {
	t.Helper()
	client.InsecureSkipVerify = true // what is shown is the question
	connection, err := tls.Dial("tcp", address, client)
	if err != nil {
		return ""
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// serving starts a server; httptest's would show a certificate of its own.
func serving(t *testing.T, config *tls.Config) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

func TestARenewedCertificateIsShown(t *testing.T) {
	folder := t.TempDir()
	c, err := Load(certstest.Write(t, folder, "old"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ticks, done := make(chan time.Time), make(chan struct{})
	go func() { defer close(done); c.Watch(ctx, ticks, slog.New(slog.DiscardHandler)) }()
	// A tick is taken when the one before it is done with.
	tick := func() { ticks <- time.Time{}; ticks <- time.Time{} }
	address := serving(t, c.Server())
	if got := shown(t, address, &tls.Config{}); got != "old" {
		t.Fatalf("at first %q", got)
	}

	certstest.Write(t, folder, "new")
	tick()
	if got := shown(t, address, &tls.Config{}); got != "new" {
		t.Errorf("after the renewal %q", got)
	}
	if err := os.WriteFile(c.keyFile, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	tick()
	if got := shown(t, address, &tls.Config{}); got != "new" {
		t.Errorf("with a broken file %q", got)
	}
	cancel()
	<-done
}

func TestTLS12IsTheFloor(t *testing.T) {
	c, err := Load(certstest.Write(t, t.TempDir(), "any"))
	if err != nil {
		t.Fatal(err)
	}
	address := serving(t, c.Server())
	for version, wanted := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		if got := shown(t, address, &tls.Config{MinVersion: version, MaxVersion: version}) != ""; got != wanted {
			t.Errorf("%s: %t", tls.VersionName(version), got)
		}
	}
}

func TestAClientShowsItsCertificate(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile := certstest.Write(t, folder, "both")
	c, err := Load(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	config := c.Server()
	config.ClientAuth = tls.RequireAnyClientCert
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	seen := make(chan string, 1)
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		defer connection.Close()
		if err := connection.(*tls.Conn).Handshake(); err == nil {
			seen <- connection.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
		}
		close(seen)
	}()
	client, err := Client(certFile, certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if got := <-seen; got != "both" {
		t.Errorf("the server saw %q", got)
	}
}

func TestWhatIsNoCertificateIsRefused(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile := certstest.Write(t, folder, "any")
	if _, err := Load(certFile, folder+"/none"); err == nil {
		t.Error("a key that isn't there")
	}
	if _, err := Load(keyFile, certFile); err == nil {
		t.Error("the two confused")
	}
	if _, err := Client(keyFile, "", ""); err == nil {
		t.Error("a key as the trusted certificate")
	}
}
