package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"example.com/videometa/internal/limits"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Registrar keeps an instance registered.
type Registrar struct {
	client   *clientv3.Client
	services []string
	instance Instance
	value    string
	limits   limits.Table

	registered    atomic.Bool
	registrations atomic.Uint64
	beats         atomic.Uint64
	failures      atomic.Uint64
}

// NewRegistrar makes one for an instance of some services; Run does the rest.
func NewRegistrar(client *clientv3.Client, instance Instance, limits limits.Table, services ...string) (*Registrar, error) {
	if instance.ID == "" || instance.Address == "" || len(services) == 0 {
		return nil, errors.New("an instance has an id, an address and a service")
	}
	value, err := json.Marshal(instance)
	if err != nil {
		return nil, err
	}
	return &Registrar{client: client, services: services, instance: instance, value: string(value), limits: limits}, nil
}

// Standing is how a registrar stands, for metrics.
type Standing struct {
	Registered    bool
	Registrations uint64 // how often it had to register: once, and after each lease that was lost
	Beats         uint64
	Failures      uint64 // of beats and registrations
}

// Standing tells how it stands.
func (r *Registrar) Standing() Standing {
	return Standing{r.registered.Load(), r.registrations.Load(), r.beats.Load(), r.failures.Load()}
}

// Run registers, keeps the lease, registers again when it is lost, and takes it back once ctx is done.
func (r *Registrar) Run(ctx context.Context) {
	for ctx.Err() == nil {
		lease, err := r.register(ctx)
		if err != nil {
			r.failed(ctx, "register", err)
			r.wait(ctx)
			continue
		}
		r.keep(ctx, lease)
		r.registered.Store(false)
		if ctx.Err() != nil {
			r.deregister(lease)
		}
	}
}

func (r *Registrar) register(ctx context.Context) (clientv3.LeaseID, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limits.Beat)
	defer cancel()
	lease, err := r.client.Grant(ctx, int64(r.limits.Lease/time.Second))
	if err != nil {
		return 0, fmt.Errorf("lease: %w", err)
	}
	puts := make([]clientv3.Op, len(r.services))
	for i, service := range r.services {
		puts[i] = clientv3.OpPut(key(service, r.instance.ID), r.value, clientv3.WithLease(lease.ID))
	}
	if _, err := r.client.Txn(ctx).Then(puts...).Commit(); err != nil {
		return 0, fmt.Errorf("put: %w", err)
	}
	r.registrations.Add(1)
	r.registered.Store(true)
	return lease.ID, nil
}

// keep beats until the lease is lost or ctx is done. A beat that fails is tried again sooner: the lease outlives two.
func (r *Registrar) keep(ctx context.Context, lease clientv3.LeaseID) {
	expires := time.Now().Add(r.limits.Lease)
	for r.wait(ctx) {
		beat, cancel := context.WithTimeout(ctx, r.limits.Beat)
		answer, err := r.client.KeepAliveOnce(beat, lease)
		cancel()
		switch {
		case err == nil && answer.TTL > 0:
			r.beats.Add(1)
			expires = time.Now().Add(time.Duration(answer.TTL) * time.Second)
		case err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound):
			r.failed(ctx, "beat", rpctypes.ErrLeaseNotFound)
			return
		default:
			r.failed(ctx, "beat", err)
			if time.Now().After(expires) {
				return
			}
		}
	}
}

// wait waits for a beat's distance, more or less; it tells whether to go on.
func (r *Registrar) wait(ctx context.Context) bool {
	spread := 1 + r.limits.Jitter*(2*rand.Float64()-1)
	timer := time.NewTimer(time.Duration(float64(r.limits.Heartbeat) * spread))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (r *Registrar) deregister(lease clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.Background(), r.limits.Deregister)
	defer cancel()
	if _, err := r.client.Revoke(ctx, lease); err != nil {
		slog.Warn("not deregistered; the lease ends by itself", "after", r.limits.Lease, "error", err)
	}
}

func (r *Registrar) failed(ctx context.Context, what string, err error) {
	if ctx.Err() != nil {
		return
	}
	r.failures.Add(1)
	slog.Warn("etcd", "call", what, "error", err)
}
