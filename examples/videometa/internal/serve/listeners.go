package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"example.com/videometa/internal/limits"
)

// server is one that listens: HTTP/1.1 and 2 by TCP, or HTTP/3 by UDP.
type server interface {
	Shutdown(context.Context) error
	Close() error
}

// listener is a server, its place and what serves there.
type listener struct {
	name    string
	address net.Addr
	server  server
	serve   func() error
	release func() error // what serve leaves open
}

func (l listener) run(failed chan<- error) {
	if err := l.serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		failed <- fmt.Errorf("%s at %s: %w", l.name, l.address, err)
	}
}

func httpServer(handler http.Handler, table limits.Table, log slog.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // for what is between a proxy that ends TLS and us
	return &http.Server{
		Handler:           handler,
		Protocols:         &protocols,
		ReadHeaderTimeout: table.ReadHeader,
		ReadTimeout:       table.Read,
		WriteTimeout:      table.Write,
		IdleTimeout:       table.Idle,
		MaxHeaderBytes:    table.Headers,
		ErrorLog:          slog.NewLogLogger(log, slog.LevelWarn),
	}
}

// overTCP serves HTTP, or HTTPS where there is a TLS configuration.
func overTCP(name, address string, served *http.Server, secure *tls.Config) (listener, error) {
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return listener{}, fmt.Errorf("%s: %w", name, err)
	}
	served.TLSConfig = secure
	l := listener{name: name, address: socket.Addr(), server: served, serve: func() error { return served.Serve(socket) }}
	if secure != nil {
		l.serve = func() error { return served.ServeTLS(socket, "", "") }
	}
	return l, nil
}

// overUDP serves HTTP/3, and takes 0-RTT: the guard lets nothing through in it that may change something.
func overUDP(address string, handler http.Handler, secure *tls.Config, table limits.Table, log *slog.Logger) (listener, *http3.Server, error) {
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return listener{}, nil, fmt.Errorf("h3: %w", err)
	}
	served := &http3.Server{
		Handler:        handler,
		TLSConfig:      http3.ConfigureTLSConfig(secure),
		QUICConfig:     &quic.Config{Allow0RTT: true, MaxIdleTimeout: table.Idle, HandshakeIdleTimeout: table.ReadHeader},
		MaxHeaderBytes: table.Headers,
		IdleTimeout:    table.Idle,
		Logger:         log,
	}
	return listener{
		name: "h3", address: socket.LocalAddr(), server: served, release: socket.Close,
		serve: func() error { return served.Serve(socket) },
	}, served, nil
}

// withDeadlines gives HTTP/3's requests the deadlines that net/http gives its own.
func withDeadlines(next http.Handler, table limits.Table) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		now := time.Now()
		_ = control.SetReadDeadline(now.Add(table.Read)) // a stream has both
		_ = control.SetWriteDeadline(now.Add(table.Write))
		next.ServeHTTP(w, r)
	})
}

// advertised tells clients that HTTP/3 is here too (RFC 7838).
func advertised(next http.Handler, by *http3.Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = by.SetQUICHeaders(w.Header()) // it fails before it listens and after: then there is nothing to tell
		next.ServeHTTP(w, r)
	})
}
