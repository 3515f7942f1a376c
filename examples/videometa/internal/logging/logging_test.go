package logging

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func setUp(t *testing.T) (*slog.Logger, *Handler, *bytes.Buffer, *clock) {
	t.Helper()
	var out bytes.Buffer
	time := &clock{time.Unix(1_700_000_000, 0)}
	handler := New(&out, Options{
		Level:    slog.LevelInfo,
		Levels:   map[slog.Level]Rule{slog.LevelInfo: {Rate: 10, Burst: 20}},
		Messages: map[slog.Level]Rule{slog.LevelInfo: {Rate: 1, Burst: 5}},
		Now:      time.Now,
	})
	return slog.New(handler), handler, &out, time
}

func lines(out *bytes.Buffer) []string {
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

func TestAMessageThatRepeatsIsSampled(t *testing.T) {
	log, handler, out, _ := setUp(t)
	for range 100 {
		log.Info("again")
	}
	if got := len(lines(out)); got != 5 {
		t.Errorf("%d lines were written, not the burst of 5", got)
	}
	if got := handler.Dropped()[slog.LevelInfo]; got != 95 {
		t.Errorf("%d were counted as dropped, not 95", got)
	}
}

func TestALevelHasItsOwnRate(t *testing.T) {
	log, _, out, _ := setUp(t)
	for i := range 100 {
		log.Info("message " + string(rune('a'+i%26)) + string(rune('a'+i/26)))
	}
	if got := len(lines(out)); got != 20 {
		t.Errorf("%d lines were written, not the level's burst of 20", got)
	}
}

func TestErrorsAreAlwaysWritten(t *testing.T) {
	log, handler, out, _ := setUp(t)
	for range 1000 {
		log.Error("broken")
	}
	if got := len(lines(out)); got != 1000 {
		t.Errorf("%d of 1000 errors were written", got)
	}
	if len(handler.Dropped()) != 0 {
		t.Error("errors were counted as dropped")
	}
}

func TestTheNextLineTellsWhatWasDropped(t *testing.T) {
	log, _, out, time := setUp(t)
	for range 8 {
		log.Info("again")
	}
	time.now = time.now.Add(1e9)
	log.With("key", "value").Info("again")
	written := lines(out)
	var last map[string]any
	if err := json.Unmarshal([]byte(written[len(written)-1]), &last); err != nil {
		t.Fatal(err)
	}
	if last["dropped"] != 3.0 || last["key"] != "value" {
		t.Errorf("the line is %v", last)
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	log, handler, _, time := setUp(t)
	for i := range 3 * mostMessages {
		time.now = time.now.Add(1e9)
		log.Info(strings.Repeat("x", i))
	}
	if got := len(handler.shared.lines); got > mostMessages {
		t.Errorf("%d messages are remembered", got)
	}
}

// stuck is a writer that stands still until it is let go.
type stuck struct {
	free chan struct{}
	mu   sync.Mutex
	bytes.Buffer
}

func (s *stuck) Write(line []byte) (int, error) {
	<-s.free
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.Write(line)
}

// A reader that stops reading blocks no caller: what there is no room for is counted, and errors have the most room.
func TestAWriterThatStandsStill(t *testing.T) {
	out := &stuck{free: make(chan struct{})}
	handler := New(out, Options{Buffer: 8 << 10})
	log := slog.New(handler)
	log.Info("the first is being written")
	for range 1000 {
		log.Info("information")
	}
	for range 1000 {
		log.Error("error")
	}
	if handler.Flush(time.Millisecond) {
		t.Error("it was flushed")
	}
	close(out.free)
	if !handler.Flush(10 * time.Second) {
		t.Fatal("it was not flushed")
	}
	dropped := handler.Dropped()
	infos, errors := strings.Count(out.String(), `"INFO"`), strings.Count(out.String(), `"ERROR"`)
	if infos+int(dropped[slog.LevelInfo]) != 1001 || errors+int(dropped[slog.LevelError]) != 1000 {
		t.Errorf("%d and %d were written, %v dropped", infos, errors, dropped)
	}
	if errors < 20 || infos < 20 {
		t.Errorf("%d errors and %d others were kept", errors, infos)
	}
	log.Info("and it goes on")
	handler.Flush(10 * time.Second)
	if !strings.Contains(out.String(), "and it goes on") {
		t.Error("it does not go on")
	}
}

func BenchmarkDropped(b *testing.B) {
	log := slog.New(New(&bytes.Buffer{}, Usual()))
	b.ReportAllocs()
	for b.Loop() {
		log.Info("again", "key", 1)
	}
}
