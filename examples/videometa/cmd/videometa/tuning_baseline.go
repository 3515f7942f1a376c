//go:build baseline

package main

import (
	"context"

	"example.com/videometa/internal/logging"
	"example.com/videometa/internal/metrics"
)

// The baseline leaves everything as Go has it: it is the "before" of each figure.
const build = "baseline"

func sampling() logging.Options { return logging.Options{} }

func memoryLimit() int64 { return 0 }

func brokenPipes(context.Context, *metrics.Metrics) {}
