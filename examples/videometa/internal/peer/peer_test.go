package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/videometa/internal/api"
	"example.com/videometa/internal/breaker"
	"example.com/videometa/internal/discovery"
	"example.com/videometa/internal/limits"
	"example.com/videometa/internal/parse"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fixed is a source that gives its instances in turn.
type fixed struct {
	instances []discovery.Instance
	turn      atomic.Int64
	unknown   bool
}

func (f *fixed) Known() bool { return !f.unknown }

func (f *fixed) Instances() []discovery.Instance { return f.instances }

func (f *fixed) Pick(string) (discovery.Instance, bool) {
	if len(f.instances) == 0 {
		return discovery.Instance{}, false
	}
	return f.instances[int(f.turn.Add(1)-1)%len(f.instances)], true
}

func serve(t *testing.T, id string, handler http.HandlerFunc) discovery.Instance {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return discovery.Instance{ID: id, Address: strings.TrimPrefix(server.URL, "http://"), Weight: 1}
}

func has(t *testing.T, video string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(api.FromPeer) == "" || r.URL.Query().Get("fields") != "full" {
			t.Errorf("asked %s with %v", r.URL, r.Header)
		}
		w.Header().Set(api.SchemaHeader, "1")
		if r.URL.Path != "/v1/videos/"+video {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(parse.Video{ID: video, Title: "found"})
	}
}

func client(instances ...discovery.Instance) *Client {
	return New(&fixed{instances: instances}, discovery.Instance{ID: "self"}, limits.Default(), breaker.Config{MinCalls: 5})
}

func TestAnotherInstanceHasIt(t *testing.T) {
	never := serve(t, "self", func(http.ResponseWriter, *http.Request) { t.Error("we asked ourselves") })
	c := client(never, serve(t, "a", has(t, "v1")), serve(t, "b", has(t, "v2")))
	for _, id := range []string{"v1", "v2", "v1"} {
		if video, found, err := c.Find(context.Background(), id); !found || err != nil || video.Title != "found" {
			t.Errorf("%s: %v %v %v", id, video, found, err)
		}
	}
	if _, found, err := c.Find(context.Background(), "v3"); found || err != nil {
		t.Errorf("what no instance has: %v %v", found, err)
	}
}

// A video is absent where all have said so; with twenty instances, any of them may be the one that has it.
func TestAllAreAsked(t *testing.T) {
	var instances []discovery.Instance
	for i := range 20 {
		instances = append(instances, serve(t, fmt.Sprint(i), has(t, fmt.Sprint("v", i))))
	}
	c := client(instances...)
	for i := range 20 {
		if _, found, err := c.Find(context.Background(), fmt.Sprint("v", i)); !found || err != nil {
			t.Errorf("v%d: %v %v", i, found, err)
		}
	}
}

func TestNobodyToAsk(t *testing.T) {
	if _, found, err := client().Find(context.Background(), "v1"); found || err != nil {
		t.Errorf("we are alone: %v %v", found, err)
	}
	c := New(&fixed{unknown: true}, discovery.Instance{ID: "self"}, limits.Default(), breaker.Config{})
	if _, found, err := c.Find(context.Background(), "v1"); found || !errors.As(err, new(api.Unanswered)) {
		t.Errorf("nothing is known of others: %v %v", found, err)
	}
}

// Unknown is not absent: one instance has it not, the other can't say.
func TestOneThatCannotBeAskedLeavesItOpen(t *testing.T) {
	gone := serve(t, "gone", nil)
	gone.Address = "127.0.0.1:1" // no server listens there
	alien := serve(t, "alien", http.NotFound)
	for _, other := range []discovery.Instance{gone, alien} {
		c := client(serve(t, "a", has(t, "v1")), other)
		for range 10 {
			_, found, err := c.Find(context.Background(), "v2")
			if found || !errors.As(err, new(api.Unanswered)) {
				t.Fatalf("%s: %v %v", other.ID, found, err)
			}
		}
		if _, found, err := c.Find(context.Background(), "v1"); !found || err != nil {
			t.Errorf("what the other has is found: %v %v", found, err)
		}
		for range 20 { // now its breaker is open, which is no answer either
			_, _, _ = c.Find(context.Background(), "v2")
		}
		var unanswered api.Unanswered
		if _, _, err := c.Find(context.Background(), "v2"); !errors.As(err, &unanswered) || unanswered.After <= 0 {
			t.Errorf("%s is open: %v, after %v", other.ID, err, unanswered.After)
		}
		if c.Unanswered() < 31 {
			t.Errorf("counted %d", c.Unanswered())
		}
	}
}

// Clients that leave say nothing of a healthy peer: those that wait get their answers.
func TestClientsThatLeaveOpenNothing(t *testing.T) {
	arrived, answer := make(chan struct{}, 300), make(chan struct{})
	find := has(t, "v1")
	table := limits.Default()
	table.Peer = time.Minute // however busy the machine, no call ends but by its caller
	a := serve(t, "a", func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-answer:
			find(w, r)
		case <-r.Context().Done():
		}
	})
	c := New(&fixed{instances: []discovery.Instance{a}}, discovery.Instance{ID: "self"}, table, breaker.Config{MinCalls: 5})
	for range 10 { // more at a time than the breaker judges
		ctx, leave := context.WithCancel(context.Background())
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { _, _, _ = c.Find(ctx, "v1") })
		}
		for range 20 {
			<-arrived
		}
		leave()
		all.Wait()
	}
	close(answer)
	for range 50 {
		if _, found, err := c.Find(context.Background(), "v1"); !found || err != nil {
			t.Fatalf("a patient client: %v %v", found, err)
		}
	}
	if got := c.Standings()[0]; got.Opened != 0 {
		t.Errorf("it opened %d times", got.Opened)
	}
}

func TestAVideoThatIsMissingOpensNothing(t *testing.T) {
	c := client(serve(t, "a", has(t, "v1")))
	for range 50 {
		_, _, _ = c.Find(context.Background(), "other")
	}
	if state := c.Standings()[0].State; state != breaker.Closed {
		t.Errorf("404 made it %s", state)
	}
}

func TestOneThatFailsIsLeftAlone(t *testing.T) {
	var calls atomic.Int64
	c := client(serve(t, "a", func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	for range 50 {
		_, _, _ = c.Find(context.Background(), "v1")
	}
	if got := calls.Load(); got > 10 {
		t.Errorf("it was asked %d times", got)
	}
	if state := c.Standings()[0].State; state != breaker.Open {
		t.Errorf("its breaker is %s", state)
	}
}

func TestAnswersAreNotBelieved(t *testing.T) {
	for name, body := range map[string]string{
		"too long":      `{"id":"v1","title":"` + strings.Repeat("x", longest) + `"}`,
		"no JSON":       `<html>`,
		"another video": `{"id":"v2"}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := client(serve(t, "a", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(api.SchemaHeader, "1")
				_, _ = w.Write([]byte(body))
			}))
			if video, found, err := c.Find(context.Background(), "v1"); found || err == nil {
				t.Errorf("taken: %.40v", video)
			}
		})
	}
}

func TestASlowOneIsNotWaitedFor(t *testing.T) {
	release := make(chan struct{})
	slow := serve(t, "slow", func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	began := time.Now()
	_, found, _ := client(slow, serve(t, "quick", has(t, "v1"))).Find(context.Background(), "v1")
	if took := time.Since(began); !found || took > 2*limits.Default().Peer {
		t.Errorf("found %v after %v", found, took)
	}
}

func TestBreakersOfThoseThatLeftAreForgotten(t *testing.T) {
	source := &fixed{instances: []discovery.Instance{serve(t, "a", has(t, "v1"))}}
	c := New(source, discovery.Instance{ID: "self"}, limits.Default(), breaker.Config{})
	_, _, _ = c.Find(context.Background(), "v1")
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector(c))
	if count, err := testutil.GatherAndCount(registry); err != nil || count != 6 {
		t.Errorf("%d metrics: %v", count, err)
	}
	source.instances = nil
	if standings := c.Standings(); len(standings) != 0 {
		t.Errorf("still known: %v", standings)
	}
}
