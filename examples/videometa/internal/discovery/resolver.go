package discovery

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"example.com/videometa/internal/limits"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Resolver knows the instances of one service.
type Resolver struct {
	client  *clientv3.Client
	service string
	file    string
	limits  limits.Table

	instances atomic.Pointer[[]Instance] // sorted by id; never changed, only replaced
	heard     atomic.Int64               // when etcd last said something, nanoseconds since the epoch
	away      atomic.Bool
	revived   atomic.Uint64

	mu      sync.Mutex
	listed  map[string]bool // what etcd has, by id: not what was last known
	changed chan struct{}   // closed when listed changes
}

// NewResolver makes one for a service; of limits it takes Heartbeat, Jitter and Beat.
//
// If file is not empty, what is known is kept there, so that a start without etcd has it too.
func NewResolver(client *clientv3.Client, service, file string, limits limits.Table) *Resolver {
	r := &Resolver{client: client, service: service, file: file, limits: limits, changed: make(chan struct{})}
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
			slog.Warn("instances are as they were last known", "service", r.service, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(r.limits.Beat):
		}
	}
}

// Instances gives what is known. Nobody may change it.
func (r *Resolver) Instances() []Instance { return *r.instances.Load() }

// Known tells whether anything was ever heard of instances, now or before this start.
func (r *Resolver) Known() bool { return r.heard.Load() != 0 || len(r.Instances()) > 0 }

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
