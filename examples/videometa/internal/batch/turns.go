package batch

import (
	"context"
	"io"
)

// turns are those of bodies at work: as many as there are processors, each until it has to wait for its client. Many large
// bodies at once would else share the processors so evenly that none was done in time.
type turns chan struct{}

// polite is a body that gives its turn back while it waits for more.
type polite struct {
	ctx   context.Context
	from  io.Reader
	turns turns
	has   bool
}

func (p *polite) Read(into []byte) (int, error) {
	p.release()
	n, err := p.from.Read(into)
	if err != nil && err != io.EOF {
		return n, err // net/http ends the context with a read that fails: that isn't what is wrong
	}
	select {
	case p.turns <- struct{}{}:
		p.has = true
		return n, err
	case <-p.ctx.Done():
		return 0, ErrLate
	}
}

func (p *polite) release() {
	if p.has {
		<-p.turns
		p.has = false
	}
}
