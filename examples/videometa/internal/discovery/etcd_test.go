package discovery

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/videometa/internal/discovery/etcdtest"
	"example.com/videometa/internal/limits"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// proxy stands between a client and etcd, and can be cut.
type proxy struct {
	listener net.Listener
	mu       sync.Mutex
	to       string
	cut      bool
	open     map[net.Conn]bool
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, to: to, open: map[net.Conn]bool{}}
	go p.serve()
	t.Cleanup(func() { listener.Close(); p.set(true) })
	return p
}

func (p *proxy) serve() {
	for {
		ours, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		to := p.to
		p.mu.Unlock()
		theirs, err := net.Dial("tcp", to)
		if err != nil {
			ours.Close()
			continue
		}
		p.mu.Lock()
		p.open[ours], p.open[theirs] = true, true
		p.mu.Unlock()
		go p.pass(ours, theirs)
		go p.pass(theirs, ours)
	}
}

// pass swallows everything while the proxy is cut: nobody hears that the other is gone, as in a real partition.
func (p *proxy) pass(from, to net.Conn) {
	defer func() {
		p.mu.Lock()
		delete(p.open, from)
		p.mu.Unlock()
		from.Close()
		to.Close()
	}()
	chunk := make([]byte, 32<<10)
	for {
		n, err := from.Read(chunk)
		if err != nil {
			return
		}
		p.mu.Lock()
		cut := p.cut
		p.mu.Unlock()
		if cut {
			continue
		}
		if _, err := to.Write(chunk[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	for connection := range p.open { // streams with a hole in them are of no use to anybody
		if !cut {
			connection.Close()
		}
	}
}

func dial(t *testing.T, address string) *clientv3.Client {
	t.Helper()
	client, err := Dial(Access{Endpoints: []string{address}, Timeout: 2 * time.Second, Retry: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func quick() limits.Table {
	table := limits.Default()
	table.Lease, table.Heartbeat, table.Beat = 3*time.Second, 200*time.Millisecond, 500*time.Millisecond
	return table
}

// run starts something that ends with its context; what it gives ends it and waits.
func run(t *testing.T, what func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); what(ctx) }()
	end = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(end)
	return end
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("after 20 s it does not hold that %s", what)
}

func registrar(t *testing.T, client *clientv3.Client, id string) *Registrar {
	t.Helper()
	return registrarOf(t, client, id, quick())
}

func registrarOf(t *testing.T, client *clientv3.Client, id string, table limits.Table) *Registrar {
	t.Helper()
	made, err := NewRegistrar(client, Instance{ID: id, Address: id + ":80", Weight: 1}, table, "videos", "feed")
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func ids(r *Resolver) string {
	found := ""
	for _, one := range r.Instances() {
		found += one.ID
	}
	return found
}

func TestInstancesComeAndGo(t *testing.T) {
	e := etcdtest.Start(t, "http")
	client := dial(t, e.Address)
	resolver := NewResolver(client, "videos", "", quick())
	run(t, resolver.Run)
	table := quick()
	table.Lease = 20 * time.Second // long, so that a lease that ran out is told from one that was taken back
	a, b := registrarOf(t, client, "a", table), registrarOf(t, client, "b", table)
	endA := run(t, a.Run)
	run(t, b.Run)
	eventually(t, "both are known", func() bool { return ids(resolver) == "ab" })

	began := time.Now()
	endA()
	eventually(t, "the one that drained is gone", func() bool { return ids(resolver) == "b" })

	if took := time.Since(began); took > table.Lease/2 {
		t.Errorf("it was gone after %v: by its lease, not because it was taken back", took)
	}
	answer, err := client.Get(context.Background(), key("feed", "b"))
	if err != nil || answer.Count != 1 {
		t.Errorf("one lease should keep all services: %v %v", answer, err)
	}
}

func TestALostLeaseIsMadeAgain(t *testing.T) {
	e := etcdtest.Start(t, "http")
	client := dial(t, e.Address)
	r := registrar(t, client, "a")
	run(t, r.Run)
	eventually(t, "it is registered", func() bool { return r.Standing().Registered })
	leases, err := client.Leases(context.Background())
	if err != nil || len(leases.Leases) != 1 {
		t.Fatalf("leases: %v %v", leases, err)
	}

	if _, err := client.Revoke(context.Background(), leases.Leases[0].ID); err != nil {
		t.Fatal(err)
	}

	eventually(t, "it registered again", func() bool { return r.Standing().Registrations == 2 && r.Standing().Registered })
}

func TestEtcdMayBeAway(t *testing.T) {
	for name, cut := range map[string]func(*etcdtest.Etcd, *proxy) (heal func()){
		"stopped": func(e *etcdtest.Etcd, _ *proxy) func() { e.Stop(); return e.Start },
		"hanging": func(e *etcdtest.Etcd, _ *proxy) func() {
			_ = e.Process.Process.Signal(syscall.SIGSTOP)
			return func() { _ = e.Process.Process.Signal(syscall.SIGCONT) }
		},
		"partitioned": func(_ *etcdtest.Etcd, p *proxy) func() { p.set(true); return func() { p.set(false) } },
	} {
		t.Run(name, func(t *testing.T) {
			e := etcdtest.Start(t, "http")
			p := startProxy(t, e.Address)
			client := dial(t, p.listener.Addr().String())
			file := filepath.Join(t.TempDir(), "instances.json")
			resolver := NewResolver(client, "videos", file, quick())
			run(t, resolver.Run)
			r := registrar(t, client, "a")
			run(t, r.Run)
			eventually(t, "it is known", func() bool { return ids(resolver) == "a" })

			heal := cut(e, p)
			eventually(t, "beats fail", func() bool { return r.Standing().Failures > 2 })
			eventually(t, "it is known that etcd is away", func() bool { return resolver.Knowledge().Away })
			time.Sleep(quick().Lease) // nothing else tells that the lease has ended

			if ids(resolver) != "a" {
				t.Error("what was known is gone")
			}
			if later := NewResolver(client, "videos", file, quick()); ids(later) != "a" {
				t.Error("a start without etcd knows nothing")
			}
			heal()
			other := registrar(t, dial(t, e.Address), "b")
			run(t, other.Run)
			eventually(t, "it is registered again", func() bool {
				answer, err := dial(t, e.Address).Get(context.Background(), key("videos", "a"))
				return err == nil && answer.Count == 1
			})
			eventually(t, "others are seen again", func() bool { return ids(resolver) == "ab" })
			eventually(t, "it is known that etcd is back", func() bool { return !resolver.Knowledge().Away })
		})
	}
}

func TestUsersAndPasswords(t *testing.T) {
	e := etcdtest.Start(t, "http")
	root := dial(t, e.Address)
	ctx := context.Background()
	for _, err := range []error{
		second(root.UserAdd(ctx, "root", "secret")), second(root.UserGrantRole(ctx, "root", "root")), second(root.AuthEnable(ctx)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}

	known, err := Dial(Access{Endpoints: []string{e.Address}, User: "root", Password: "secret", Timeout: 2 * time.Second, Retry: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer known.Close()
	r := registrar(t, known, "a")
	run(t, r.Run)
	eventually(t, "who logs in is registered", func() bool { return r.Standing().Registered })
	if _, err := Dial(Access{Endpoints: []string{e.Address}, User: "root", Password: "wrong", Timeout: 2 * time.Second, Retry: time.Second}); err == nil {
		t.Error("a wrong password was taken")
	}
}

func second[T any](_ T, err error) error { return err }

func TestPickGoesByWeightAndZone(t *testing.T) {
	r := NewResolver(nil, "videos", "", quick())
	r.instances.Store(&[]Instance{
		{ID: "a", Zone: "x", Weight: 3}, {ID: "b", Zone: "x", Weight: 1}, {ID: "c", Zone: "y", Weight: 9}, {ID: "d", Zone: "x"},
	})
	counts := map[string]int{}
	for range 4000 {
		one, _ := r.Pick("x")
		counts[one.ID]++
	}
	if counts["c"]+counts["d"] != 0 || counts["a"] < 2700 || counts["a"] > 3300 {
		t.Errorf("picked %v", counts)
	}
	if _, ok := r.Pick("nowhere"); !ok {
		t.Error("without one in the zone there is none at all")
	}
}

func BenchmarkBeat(b *testing.B) {
	e := etcdtest.Start(b, "http")
	client, err := Dial(Access{Endpoints: []string{e.Address}, Timeout: 2 * time.Second, Retry: time.Second})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	lease, err := client.Grant(context.Background(), 60)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.KeepAliveOnce(context.Background(), lease.ID); err != nil {
			b.Fatal(err)
		}
	}
}
