//go:build !baseline

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"example.com/videometa/internal/logging"
	"example.com/videometa/internal/memory"
	"example.com/videometa/internal/metrics"
)

const build = "tuned"

func sampling() logging.Options { return logging.Usual() }

func memoryLimit() int64 {
	_, set := os.LookupEnv("GOMEMLIMIT")
	return memory.SetLimit(os.DirFS("/"), set)
}

// brokenPipes counts SIGPIPE, and so keeps Go from dying of it where it comes from standard output or error: a service
// whose logs nobody reads any more shall go on. The write fails, which is all that is to be known of it.
func brokenPipes(ctx context.Context, counted *metrics.Metrics) {
	came := make(chan os.Signal, 16)
	signal.Notify(came, syscall.SIGPIPE)
	go func() {
		for {
			select {
			case <-came:
				counted.BrokenPipe()
			case <-ctx.Done():
				return // but notified still: a drain isn't to die either
			}
		}
	}()
}
