package discovery

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Resolver knows the instances of one service.
type Resolver struct {
	client  *clientv3.Client
	service string
	file    string
	again   time.Duration

	instances atomic.Pointer[[]Instance] // sorted by id; never changed, only replaced
	heard     atomic.Int64               // when etcd last said something, nanoseconds since the epoch
	away      atomic.Bool
	revived   atomic.Uint64
}

// NewResolver makes one for a service.
//
// If file is not empty, what is known is kept there, so that a start without etcd has it too. After a watch that broke,
// it waits for again before the next.
func NewResolver(client *clientv3.Client, service, file string, again time.Duration) *Resolver {
	r := &Resolver{client: client, service: service, file: file, again: again}
	r.instances.Store(&[]Instance{})
	r.away.Store(true)
	if kept, err := r.load(); err == nil {
		r.instances.Store(&kept)
	} else if !os.IsNotExist(err) {
		slog.Warn("what was known of instances can't be read", "file", file, "error", err)
	}
	return r
}

// Run follows etcd until ctx is done.
func (r *Resolver) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.follow(ctx); err != nil && ctx.Err() == nil {
			r.away.Store(true)
			slog.Warn("instances are as they were last known", "service", r.service, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(r.again):
		}
	}
}

// Instances gives what is known. Nobody may change it.
func (r *Resolver) Instances() []Instance { return *r.instances.Load() }

// Knowledge is how a resolver stands, for metrics.
type Knowledge struct {
	Instances int
	Away      bool          // etcd can't be followed at the moment
	Age       time.Duration // since etcd last said something
	Revived   uint64        // how often a watch had to begin anew
}

// Knowledge tells how it stands.
func (r *Resolver) Knowledge() Knowledge {
	knowledge := Knowledge{Instances: len(r.Instances()), Away: r.away.Load(), Revived: r.revived.Load()}
	if heard := r.heard.Load(); heard != 0 {
		knowledge.Age = time.Since(time.Unix(0, heard))
	}
	return knowledge
}

// Pick chooses an instance by weight, one of the zone if there is any; false: there is none.
func (r *Resolver) Pick(zone string) (Instance, bool) {
	all := r.Instances()
	total, here := 0, 0
	for _, one := range all {
		total += max(one.Weight, 0)
		if one.Zone == zone {
			here += max(one.Weight, 0)
		}
	}
	near := here > 0
	if near {
		total = here
	}
	if total == 0 {
		return Instance{}, false
	}
	left := rand.IntN(total)
	for _, one := range all {
		if near && one.Zone != zone {
			continue
		}
		if left -= max(one.Weight, 0); left < 0 {
			return one, true
		}
	}
	return Instance{}, false
}

// follow reads all instances and then watches, until the watch breaks.
func (r *Resolver) follow(ctx context.Context) error {
	// Without a leader a member's watch is silent for ever: it has to break, so that we know.
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	answer, err := r.client.Get(ctx, prefix(r.service), clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	known := map[string]Instance{}
	for _, pair := range answer.Kvs {
		r.put(known, pair)
	}
	r.revived.Add(1)
	r.publish(known)
	events := r.client.Watch(ctx, prefix(r.service), clientv3.WithPrefix(), clientv3.WithRev(answer.Header.Revision+1),
		clientv3.WithProgressNotify())
	for said := range events {
		if err := said.Err(); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		for _, event := range said.Events {
			if event.Type == clientv3.EventTypeDelete {
				delete(known, strings.TrimPrefix(string(event.Kv.Key), prefix(r.service)))
			} else {
				r.put(known, event.Kv)
			}
		}
		r.publish(known)
	}
	return fmt.Errorf("watch: %w", context.Cause(ctx))
}

func (r *Resolver) put(known map[string]Instance, pair *mvccpb.KeyValue) {
	instance, err := parse(pair.Value)
	if err != nil {
		slog.Warn("passed over", "key", string(pair.Key), "error", err)
		return
	}
	known[strings.TrimPrefix(string(pair.Key), prefix(r.service))] = instance
}

func (r *Resolver) publish(known map[string]Instance) {
	r.heard.Store(time.Now().UnixNano())
	r.away.Store(false)
	if len(known) == 0 && len(r.Instances()) > 0 {
		// All leases ending at once is what a long absence of etcd looks like from here. One that may be gone is
		// better than none: calls to it fail as they would anyway, and its breaker opens.
		slog.Warn("etcd knows no instance; the last known are kept", "service", r.service)
		return
	}
	instances := make([]Instance, 0, len(known))
	for _, instance := range known {
		instances = append(instances, instance)
	}
	slices.SortFunc(instances, func(a, b Instance) int { return strings.Compare(a.ID, b.ID) })
	if slices.Equal(instances, r.Instances()) {
		return
	}
	r.instances.Store(&instances)
	if err := r.save(instances); err != nil {
		slog.Warn("what is known of instances can't be kept", "file", r.file, "error", err)
	}
}

func (r *Resolver) load() ([]Instance, error) {
	if r.file == "" {
		return nil, os.ErrNotExist
	}
	content, err := os.ReadFile(r.file)
	if err != nil {
		return nil, err
	}
	var instances []Instance
	return instances, json.Unmarshal(content, &instances)
}

func (r *Resolver) save(instances []Instance) error {
	if r.file == "" {
		return nil
	}
	content, err := json.Marshal(instances)
	if err != nil {
		return err
	}
	making, err := os.CreateTemp(filepath.Dir(r.file), filepath.Base(r.file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(making.Name()) // gone after the rename
	if _, err := making.Write(content); err != nil {
		making.Close()
		return err
	}
	if err := making.Close(); err != nil {
		return err
	}
	return os.Rename(making.Name(), r.file)
}
