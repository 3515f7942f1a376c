// Package logging writes JSON by log/slog, and less of it when there is too much.
//
// Each level has a rate and a burst, and so has each message of a level: one that repeats doesn't push out the others.
// Errors are always written. What was dropped is counted, and told with the next line that is written.
//
// Nothing that logs waits for the writer: lines are kept until it takes them, half of the room for errors alone, and what
// finds none is dropped and counted too.
package logging

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Rule is how much of something is written: so many lines a second, and so many at once.
type Rule struct {
	Rate  float64
	Burst int
}

// Options says how much is written. A level without a rule is written whole.
type Options struct {
	Level    slog.Leveler
	Levels   map[slog.Level]Rule
	Messages map[slog.Level]Rule // for each message of that level
	Buffer   int                 // bytes that are kept while the writer is slow; 0: the caller writes, and waits
	Now      func() time.Time
}

// Usual is what a service writes by default: all warnings up to a hundred a second, a taste of the rest.
func Usual() Options {
	return Options{
		Level:  slog.LevelInfo,
		Buffer: 1 << 20,
		Levels: map[slog.Level]Rule{
			slog.LevelDebug: {Rate: 10, Burst: 50},
			slog.LevelInfo:  {Rate: 50, Burst: 200},
			slog.LevelWarn:  {Rate: 100, Burst: 200},
		},
		Messages: map[slog.Level]Rule{
			slog.LevelDebug: {Rate: 2, Burst: 10},
			slog.LevelInfo:  {Rate: 10, Burst: 50},
			slog.LevelWarn:  {Rate: 20, Burst: 50},
		},
	}
}

// Handler is a slog.Handler that samples.
type Handler struct {
	inner  slog.Handler
	shared *shared
}

type shared struct {
	options Options
	buffer  *buffer // nil: lines are written at once
	mu      sync.Mutex
	levels  map[slog.Level]*bucket
	lines   map[line]*bucket
	dropped map[slog.Level]uint64
	untold  uint64 // dropped since a line was written
}

type line struct {
	level   slog.Level
	message string
}

// mostMessages bounds what is remembered of messages; beyond it all is forgotten, and begins anew.
const mostMessages = 4096

// New makes a handler that writes JSON.
func New(out io.Writer, options Options) *Handler {
	if options.Now == nil {
		options.Now = time.Now
	}
	var kept *buffer
	if options.Buffer > 0 {
		kept = &buffer{out: out, most: options.Buffer}
		out = kept
	}
	return &Handler{
		inner: slog.NewJSONHandler(out, &slog.HandlerOptions{Level: options.Level}),
		shared: &shared{
			options: options,
			buffer:  kept,
			levels:  map[slog.Level]*bucket{},
			lines:   map[line]*bucket{},
			dropped: map[slog.Level]uint64{},
		},
	}
}

// Enabled is slog.Handler's.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.inner.Enabled(ctx, level)
}

// Handle is slog.Handler's: it writes the record, or counts it.
func (h *Handler) Handle(ctx context.Context, record slog.Record) error {
	kept, untold := h.shared.take(record.Level, record.Message)
	if !kept {
		return nil
	}
	if untold > 0 {
		record = record.Clone()
		record.AddAttrs(slog.Uint64("dropped", untold))
	}
	return h.inner.Handle(ctx, record)
}

// WithAttrs is slog.Handler's.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.inner.WithAttrs(attrs), h.shared}
}

// WithGroup is slog.Handler's.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.inner.WithGroup(name), h.shared}
}

// Flush waits until what was kept is written; false: it was not within the time.
func (h *Handler) Flush(within time.Duration) bool {
	return h.shared.buffer == nil || h.shared.buffer.flush(within)
}

// Dropped tells how many lines of each level were not written, since the start.
func (h *Handler) Dropped() map[slog.Level]uint64 {
	h.shared.mu.Lock()
	defer h.shared.mu.Unlock()
	counts := make(map[slog.Level]uint64, len(h.shared.dropped))
	for level, count := range h.shared.dropped {
		counts[level] = count
	}
	return counts
}

func (s *shared) take(level slog.Level, message string) (kept bool, untold uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if level < slog.LevelError && !s.allowed(level, message) || s.buffer != nil && !s.buffer.room(level) {
		s.dropped[level]++
		s.untold++
		return false, 0
	}
	untold, s.untold = s.untold, 0
	return true, untold
}

func (s *shared) allowed(level slog.Level, message string) bool {
	now := s.options.Now()
	if rule, ok := s.options.Messages[level]; ok {
		if len(s.lines) >= mostMessages {
			clear(s.lines)
		}
		if !bucketOf(s.lines, line{level, message}, rule, now).take(rule, now) {
			return false
		}
	}
	rule, ok := s.options.Levels[level]
	return !ok || bucketOf(s.levels, level, rule, now).take(rule, now)
}

// bucket holds tokens: one is taken a line, and they come back at the rate.
type bucket struct {
	tokens float64
	last   time.Time
}

func bucketOf[K comparable](all map[K]*bucket, key K, rule Rule, now time.Time) *bucket {
	found := all[key]
	if found == nil {
		found = &bucket{tokens: float64(rule.Burst), last: now}
		all[key] = found
	}
	return found
}

func (b *bucket) take(rule Rule, now time.Time) bool {
	b.tokens = min(b.tokens+now.Sub(b.last).Seconds()*rule.Rate, float64(rule.Burst))
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
