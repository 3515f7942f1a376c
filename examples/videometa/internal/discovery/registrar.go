package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"example.com/videometa/internal/limits"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
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

	lease   clientv3.LeaseID // chosen once: a grant whose answer is lost can be asked for again, and leaves no second lease
	granted bool             // etcd may have it

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
	return &Registrar{
		client: client, services: services, instance: instance, value: string(value), limits: limits,
		lease: clientv3.LeaseID(1 + rand.Int64N(math.MaxInt64-1)),
	}, nil
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
		if err := r.register(ctx); err != nil {
			r.failed(ctx, "register", err)
			r.wait(ctx)
			continue
		}
		r.keep(ctx)
		r.registered.Store(false)
	}
	if r.granted {
		r.deregister()
	}
}

// register puts what we offer under our lease, which is asked for where etcd has it not, or not any more.
func (r *Registrar) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.limits.Beat)
	defer cancel()
	if r.granted {
		if err := r.put(ctx); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
	}
	r.granted = true
	// clientv3's Grant lets etcd choose the ID.
	request := &etcdserverpb.LeaseGrantRequest{ID: int64(r.lease), TTL: int64(r.limits.Lease / time.Second)}
	_, err := etcdserverpb.NewLeaseClient(r.client.ActiveConnection()).LeaseGrant(ctx, request)
	if err = rpctypes.Error(err); err != nil && !errors.Is(err, rpctypes.ErrLeaseExist) {
		return fmt.Errorf("lease: %w", err)
	}
	return r.put(ctx)
}

func (r *Registrar) put(ctx context.Context) error {
	puts := make([]clientv3.Op, len(r.services))
	for i, service := range r.services {
		puts[i] = clientv3.OpPut(key(service, r.instance.ID), r.value, clientv3.WithLease(r.lease))
	}
	if _, err := r.client.Txn(ctx).Then(puts...).Commit(); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	r.registrations.Add(1)
	r.registered.Store(true)
	return nil
}

// keep beats until the lease is lost or ctx is done. A beat that fails is tried again sooner: the lease outlives two.
func (r *Registrar) keep(ctx context.Context) {
	expires := time.Now().Add(r.limits.Lease)
	for r.wait(ctx) {
		beat, cancel := context.WithTimeout(ctx, r.limits.Beat)
		answer, err := r.client.KeepAliveOnce(beat, r.lease)
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
	timer := time.NewTimer(r.limits.NextBeat())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (r *Registrar) deregister() {
	ctx, cancel := context.WithTimeout(context.Background(), r.limits.Deregister)
	defer cancel()
	if _, err := r.client.Revoke(ctx, r.lease); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
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
