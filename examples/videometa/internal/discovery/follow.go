package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// errBehind says that the watch shows something else than etcd has.
var errBehind = errors.New("etcd has other instances than the watch showed: it is another cluster, or one that was restored")

// errEnded says that etcd's client watches no more.
var errEnded = errors.New("it ended")

// view is what etcd had when it was last asked or heard.
type view struct {
	cluster  uint64
	term     uint64
	revision int64
	known    map[string]entry // by the last part of the key
}

type entry struct {
	instance Instance
	valid    bool
	revision int64 // of its last change
}

// follow reads all instances and then watches, until the watch breaks or turns out to be blind.
//
// A watch alone can't be trusted. etcd's client begins it again by itself after any outage, at the revision where it
// was: if etcd has come back with an older history, or none, nothing happens until that revision is reached again, and
// nothing errs. So at each heartbeat etcd is asked what it has, which also tells whether it is there at all.
func (r *Resolver) follow(ctx context.Context) error {
	// Without a leader a member's watch is silent for ever: it has to break, so that we know.
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	seen, err := r.list(ctx)
	if err != nil {
		r.away.Store(true)
		return err
	}
	r.revived.Add(1)
	r.publish(seen)
	events := r.client.Watch(ctx, prefix(r.service), clientv3.WithPrefix(), clientv3.WithRev(seen.revision+1))
	check := time.NewTimer(r.limits.NextBeat())
	defer check.Stop()
	doubted := false
	for {
		select {
		case said, ok := <-events:
			if err := said.Err(); err != nil || !ok {
				r.away.Store(true)
				return fmt.Errorf("watch: %w", errors.Join(err, errEnded))
			}
			seen.apply(said)
			r.publish(seen)
		case <-check.C:
			if doubted, err = r.check(ctx, seen, doubted); err != nil {
				return err
			}
			check.Reset(r.limits.NextBeat())
		}
	}
}

func (r *Resolver) list(ctx context.Context) (*view, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limits.Beat)
	defer cancel()
	answer, err := r.client.Get(ctx, prefix(r.service), clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	seen := &view{known: map[string]entry{}}
	seen.header(answer.Header)
	for _, pair := range answer.Kvs {
		seen.put(pair)
	}
	return seen, nil
}

// check asks etcd for the number of instances and the revision of their last change, and gives whether that is in doubt:
// once it may be ahead of the watch, but not twice.
func (r *Resolver) check(ctx context.Context, seen *view, doubted bool) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limits.Beat)
	defer cancel()
	answer, err := r.client.Get(ctx, prefix(r.service), append(clientv3.WithLastRev(), clientv3.WithPrefix(), clientv3.WithKeysOnly())...)
	if err != nil {
		if !r.away.Swap(true) {
			slog.Warn("etcd is away", "service", r.service, "error", err)
		}
		return doubted, nil // the watch goes on when etcd is back
	}
	if r.away.Swap(false) {
		slog.Info("etcd is back", "service", r.service)
	}
	r.heard.Store(time.Now().UnixNano())
	header := answer.Header
	if header.ClusterId != seen.cluster || header.RaftTerm < seen.term || header.Revision < seen.revision {
		return false, errBehind
	}
	last := int64(0)
	if len(answer.Kvs) > 0 {
		last = answer.Kvs[0].ModRevision
	}
	differs := answer.Count != int64(len(seen.known)) || last != seen.last()
	if differs && doubted {
		return false, errBehind
	}
	seen.term = header.RaftTerm
	return differs, nil
}

func (v *view) header(header *etcdserverpb.ResponseHeader) {
	v.cluster, v.term, v.revision = header.ClusterId, header.RaftTerm, header.Revision
}

func (v *view) apply(said clientv3.WatchResponse) {
	v.revision = max(v.revision, said.Header.Revision)
	for _, event := range said.Events {
		if event.Type == clientv3.EventTypeDelete {
			delete(v.known, name(event.Kv))
		} else {
			v.put(event.Kv)
		}
	}
}

func (v *view) put(pair *mvccpb.KeyValue) {
	instance, err := parse(pair.Value)
	if err != nil {
		slog.Warn("passed over", "key", string(pair.Key), "error", err)
	}
	v.known[name(pair)] = entry{instance, err == nil, pair.ModRevision}
}

// name is the last part of a key: the id.
func name(pair *mvccpb.KeyValue) string {
	return string(pair.Key[strings.LastIndexByte(string(pair.Key), '/')+1:])
}

// last is the revision of the last change that is still there.
func (v *view) last() int64 {
	last := int64(0)
	for _, one := range v.known {
		last = max(last, one.revision)
	}
	return last
}

func (r *Resolver) publish(seen *view) {
	r.heard.Store(time.Now().UnixNano())
	r.away.Store(false)
	instances := make([]Instance, 0, len(seen.known))
	listed := make(map[string]bool, len(seen.known))
	for id, one := range seen.known {
		listed[id] = true
		if one.valid {
			instances = append(instances, one.instance)
		}
	}
	r.tell(listed)
	if len(instances) == 0 && len(r.Instances()) > 0 {
		// All leases ending at once is what a long absence of etcd looks like from here. One that may be gone is
		// better than none: calls to it fail as they would anyway, and its breaker opens.
		slog.Warn("etcd knows no instance; the last known are kept", "service", r.service)
		return
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

func (r *Resolver) tell(listed map[string]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listed = listed
	close(r.changed)
	r.changed = make(chan struct{})
}

// WaitGone waits until our watch, which is like the others', shows that an instance is withdrawn; false: ctx ended first.
func (r *Resolver) WaitGone(ctx context.Context, id string) bool {
	for {
		r.mu.Lock()
		gone, changed := !r.listed[id], r.changed
		r.mu.Unlock()
		if gone {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
