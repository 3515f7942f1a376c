package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"example.com/videometa/internal/h2"
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
	if err := h2.Configure(served); err != nil {
		return listener{}, errors.Join(fmt.Errorf("%s: %w", name, err), socket.Close())
	}
	l := listener{name: name, address: socket.Addr(), server: served, serve: func() error { return served.Serve(socket) }}
	if secure != nil {
		l.serve = func() error { return served.ServeTLS(socket, "", "") }
	}
	return l, nil
}
