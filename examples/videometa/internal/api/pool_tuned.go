//go:build !baseline

package api

import "sync"

// pool has things that are used again.
type pool[T any] struct{ free sync.Pool }

func newPool[T any](fresh func() T) *pool[T] {
	return &pool[T]{sync.Pool{New: func() any { return fresh() }}}
}

func (p *pool[T]) get() T { return p.free.Get().(T) }

func (p *pool[T]) put(thing T) { p.free.Put(thing) }
