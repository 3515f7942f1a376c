package logging

import (
	"io"
	"log/slog"
	"sync"
	"time"
)

// buffer stands between those who log and a writer that may be slow, or stand still: it takes a line at once, or not at all.
type buffer struct {
	out  io.Writer
	most int // bytes; what is no error has half of them

	mu      sync.Mutex
	queue   []byte
	spare   []byte // the last batch's memory, used again
	writing bool
	ended   chan struct{} // closed when the writing is done
}

// room tells whether a line of a level is taken now.
func (b *buffer) room(level slog.Level) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if level >= slog.LevelError {
		return len(b.queue) < b.most
	}
	return len(b.queue) < b.most/2
}

// Write is io.Writer's; it is called with lines for which there was room a moment ago.
func (b *buffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, line...)
	if !b.writing {
		b.writing, b.ended = true, make(chan struct{})
		go b.write()
	}
	return len(line), nil
}

// write writes what there is, all of it at a time, until there is nothing more.
func (b *buffer) write() {
	for {
		b.mu.Lock()
		batch := b.queue
		b.queue, b.spare = b.spare[:0], nil
		if len(batch) == 0 {
			b.queue, b.writing = batch, false
			close(b.ended)
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		_, _ = b.out.Write(batch) // a reader that has gone is counted where SIGPIPE is
		b.mu.Lock()
		b.spare = batch
		b.mu.Unlock()
	}
}

// flush waits until all is written; false: it was not within the time.
func (b *buffer) flush(within time.Duration) bool {
	b.mu.Lock()
	writing, ended := b.writing, b.ended
	b.mu.Unlock()
	if !writing {
		return true
	}
	select {
	case <-ended:
		return true
	case <-time.After(within):
		return false
	}
}
