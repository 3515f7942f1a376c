package peer

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
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
}

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
		if r.URL.Path != "/v1/videos/"+video {
			http.NotFound(w, r)
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
		if video, found := c.Find(context.Background(), id); !found || video.Title != "found" {
			t.Errorf("%s: %v %v", id, video, found)
		}
	}
	if _, found := c.Find(context.Background(), "v3"); found {
		t.Error("found what nobody has")
	}
}

func TestNobodyToAsk(t *testing.T) {
	if _, found := client().Find(context.Background(), "v1"); found {
		t.Error("found it nowhere")
	}
}

func TestAVideoThatIsMissingOpensNothing(t *testing.T) {
	c := client(serve(t, "a", has(t, "v1")))
	for range 50 {
		c.Find(context.Background(), "other")
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
		c.Find(context.Background(), "v1")
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
			c := client(serve(t, "a", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
			if video, found := c.Find(context.Background(), "v1"); found {
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
	_, found := client(slow, serve(t, "quick", has(t, "v1"))).Find(context.Background(), "v1")
	if took := time.Since(began); !found || took > 2*limits.Default().Peer {
		t.Errorf("found %v after %v", found, took)
	}
}

func TestBreakersOfThoseThatLeftAreForgotten(t *testing.T) {
	source := &fixed{instances: []discovery.Instance{serve(t, "a", has(t, "v1"))}}
	c := New(source, discovery.Instance{ID: "self"}, limits.Default(), breaker.Config{})
	c.Find(context.Background(), "v1")
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector(c))
	if count, err := testutil.GatherAndCount(registry); err != nil || count != 5 {
		t.Errorf("%d metrics: %v", count, err)
	}
	source.instances = nil
	if standings := c.Standings(); len(standings) != 0 {
		t.Errorf("still known: %v", standings)
	}
}
