//go:build !baseline

// Package pool has things that are used again; under the build tag baseline each is made when it is asked for.
package pool

import "sync"

// Pool has things that are used again.
type Pool[T any] struct{ free sync.Pool }

// New makes a pool of what fresh makes.
func New[T any](fresh func() T) *Pool[T] {
	return &Pool[T]{sync.Pool{New: func() any { return fresh() }}}
}

// Get gives one.
func (p *Pool[T]) Get() T { return p.free.Get().(T) }

// Put takes one back.
func (p *Pool[T]) Put(thing T) { p.free.Put(thing) }
