package discovery

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"example.com/videometa/internal/discovery/etcdtest"
	"example.com/videometa/internal/limits"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcd comes back, but with another history than the one that the watch goes on with: nothing errs then, and the watch is
// silent. What was registered before is registered again, and seen, and so is what is registered later.
func TestEtcdComesBackWithAnotherHistory(t *testing.T) {
	for name, back := range map[string]func(*testing.T, *etcdtest.Etcd, *proxy){
		"empty": func(t *testing.T, e *etcdtest.Etcd, _ *proxy) {
			e.Stop()
			e.Forget()
			e.Start()
		},
		"of a backup": func(t *testing.T, e *etcdtest.Etcd, _ *proxy) {
			e.Stop()
			e.Forget()
			if err := os.CopyFS(filepath.Join(e.Folder, "data"), os.DirFS(filepath.Join(e.Folder, "backup"))); err != nil {
				t.Fatal(err)
			}
			e.Start()
		},
		"of another cluster that is further on": func(t *testing.T, e *etcdtest.Etcd, p *proxy) {
			other := etcdtest.Start(t, "http", "--initial-cluster-token", "other")
			write(t, other, 300)
			e.Stop()
			p.mu.Lock()
			p.to = other.Address
			p.mu.Unlock()
		},
		"compacted": func(t *testing.T, e *etcdtest.Etcd, p *proxy) {
			p.set(true)
			write(t, e, 10)
			client := dial(t, e.Address)
			answer, err := client.Get(context.Background(), "any")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Compact(context.Background(), answer.Header.Revision); err != nil {
				t.Fatal(err)
			}
			p.set(false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := etcdtest.Start(t, "http")
			write(t, e, 1) // it listens before it has a folder
			e.Stop()
			if err := os.CopyFS(filepath.Join(e.Folder, "backup"), os.DirFS(filepath.Join(e.Folder, "data"))); err != nil {
				t.Fatal(err)
			}
			e.Start()
			write(t, e, 100) // so that what comes back is far behind
			p := startProxy(t, e.Address)
			client := dial(t, p.listener.Addr().String())
			resolver := NewResolver(client, "videos", "", quick())
			run(t, resolver.Run)
			a := registrar(t, client, "a")
			run(t, a.Run)
			eventually(t, "one is known", func() bool { return ids(resolver) == "a" })

			back(t, e, p)

			b := registrar(t, client, "b")
			endB := run(t, b.Run)
			eventually(t, "what is registered later is seen, and what was is again", func() bool {
				listed, err := client.Get(context.Background(), key("videos", "a"), clientv3.WithCountOnly())
				return err == nil && listed.Count == 1 && ids(resolver) == "ab"
			})
			endB()
			eventually(t, "what is withdrawn is seen to be", func() bool { return ids(resolver) == "a" })
		})
	}
}

// write makes etcd's history longer.
func write(t *testing.T, e *etcdtest.Etcd, times int) {
	t.Helper()
	client := dial(t, e.Address)
	for range times {
		if _, err := client.Put(context.Background(), "any", "thing"); err != nil {
			t.Fatal(err)
		}
	}
}

// A lease is granted to a user who may not put anything under it: however often that is tried, there is one lease.
func TestARegistrationThatHalfFailsLeavesOneLease(t *testing.T) {
	e := etcdtest.Start(t, "http")
	root := dial(t, e.Address)
	ctx := context.Background()
	for _, err := range []error{
		second(root.UserAdd(ctx, "root", "secret")), second(root.UserGrantRole(ctx, "root", "root")),
		second(root.UserAdd(ctx, "guest", "secret")), second(root.AuthEnable(ctx)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	login := func(user string) *clientv3.Client {
		client, err := Dial(Access{Endpoints: []string{e.Address}, User: user, Password: "secret", Timeout: 2 * time.Second, Retry: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		return client
	}
	table := quick()
	table.Lease = 20 * time.Second
	r := registrarOf(t, login("guest"), "a", table)
	end := run(t, r.Run)
	eventually(t, "it is refused again and again", func() bool { return r.Standing().Failures > 5 })

	known := login("root")
	leases, err := known.Leases(ctx)
	if err != nil || len(leases.Leases) != 1 {
		t.Errorf("leases: %v %v", leases, err)
	}
	end()
	if leases, err = known.Leases(ctx); err != nil || len(leases.Leases) != 0 {
		t.Errorf("after the end: %v %v", leases, err)
	}
}

// After an outage of any length an instance is back within a lease's time, with the limits that the service has.
func TestBackWithinALeaseAfterAnOutage(t *testing.T) {
	outage, err := time.ParseDuration(os.Getenv("LONG"))
	if err != nil {
		t.Skip("LONG is no duration: the second ring runs this")
	}
	table := limits.Default()
	e := etcdtest.Start(t, "http")
	client, err := Dial(Access{Endpoints: []string{e.Address}, Timeout: table.Lease, Retry: table.Reconnect})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := registrarOf(t, client, "a", table)
	run(t, r.Run)
	eventually(t, "it is registered", func() bool { return r.Standing().Registered })
	e.Stop()
	e.Forget()
	time.Sleep(outage) // an outage takes its time: it is what grpc's back-off grows with
	e.Start()
	began := time.Now()
	eventually(t, "it is registered again", func() bool {
		return r.Standing().Registrations == 2
	})
	if took := time.Since(began); took > table.Lease {
		t.Errorf("it was back %v after etcd was", took)
	}
}

// A grant whose answer was lost is asked for again, and is the same lease.
func TestALostAnswerLeavesNoSecondLease(t *testing.T) {
	e := etcdtest.Start(t, "http")
	client := dial(t, e.Address)
	r := registrar(t, client, "a")
	request := &etcdserverpb.LeaseGrantRequest{ID: int64(r.lease), TTL: 60}
	if _, err := etcdserverpb.NewLeaseClient(client.ActiveConnection()).LeaseGrant(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	run(t, r.Run)
	eventually(t, "it is registered", func() bool { return r.Standing().Registered })
	if leases, err := client.Leases(context.Background()); err != nil || len(leases.Leases) != 1 {
		t.Errorf("leases: %v %v", leases, err)
	}
}
