// Videometa serves what is known of short videos; README.md shows how a request flows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"example.com/videometa/internal/config"
	"example.com/videometa/internal/logging"
	"example.com/videometa/internal/metrics"
	"example.com/videometa/internal/serve"
)

// version is set at build by -X main.version=…
var version = "devel"

func main() {
	c, err := config.Parse(os.Args[1:], os.Getenv, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	options := sampling()
	options.Level = c.LogLevel
	logs := logging.New(os.Stderr, options)
	slog.SetDefault(slog.New(logs))
	err = run(c, logs)
	if err != nil {
		slog.Error("stopped", "error", err)
	}
	logs.Flush(c.Limits.Flush)
	if err != nil {
		os.Exit(1)
	}
}

// run serves until SIGTERM or SIGINT; a second one doesn't wait for the drain.
func run(c config.Config, logs *logging.Handler) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	counted := metrics.New(version, build)
	counted.Logs(logs.Dropped)
	brokenPipes(ctx, counted)
	limit := memoryLimit()
	if limit > 0 {
		c.Limits.Held = min(c.Limits.Held, limit/4)
	}
	slog.Info("configuration", "version", version, "build", build, "memory_limit", limit, "held", c.Limits.Held, "flags", c, "limits", c.Limits)
	service, err := serve.Start(c, version, slog.Default(), counted)
	if err != nil {
		return err
	}
	select {
	case err := <-service.Failed():
		return errors.Join(err, service.Drain())
	case <-ctx.Done():
		stop()
		return service.Drain()
	}
}
