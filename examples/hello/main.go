// Hello is a small HTTP service that needs of its image what real services need: certificates for TLS,
// time zones, and accounts. Each has an address that shows whether it is there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set at build by -X main.version=…
var version = "devel"

// drain is how long requests in flight get to end after SIGTERM.
const drain = 5 * time.Second

func main() {
	address := flag.String("listen", defaultAddress(), "address to listen on; $LISTEN sets the default")
	flag.Parse()
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(*address, logger); err != nil {
		logger.Error("stopped", "error", err)
		os.Exit(1)
	}
}

func defaultAddress() string {
	if address := os.Getenv("LISTEN"); address != "" {
		return address
	}
	return ":8080"
}

// run serves until SIGTERM or SIGINT, then lets the requests in flight end.
func run(address string, logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: routes(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	logger.Info("listening", "address", listener.Addr().String(), "version", version)
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	logger.Info("draining", "limit", drain.String())
	patience, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := server.Shutdown(patience); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("shutdown: %w", err)
	}
	logger.Info("stopped")
	return nil
}
