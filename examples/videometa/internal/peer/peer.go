// Package peer asks other instances for what ours hasn't.
package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"example.com/videometa/internal/api"
	"example.com/videometa/internal/breaker"
	"example.com/videometa/internal/discovery"
	"example.com/videometa/internal/guard"
	"example.com/videometa/internal/limits"
	"example.com/videometa/internal/parse"
)

const (
	asked   = 2        // instances for one video, at most
	tries   = 8        // picks for an instance that we may ask and have not asked
	longest = 64 << 10 // bytes of an answer
)

// errNone says that an instance has no such video, which is a good answer.
var errNone = errors.New("no such video")

// Source picks instances; discovery.Resolver is one.
type Source interface {
	Pick(zone string) (discovery.Instance, bool)
	Instances() []discovery.Instance
}

// Client asks; it is an api.Peers.
type Client struct {
	source Source
	self   string
	zone   string
	http   *http.Client
	limits limits.Table
	config breaker.Config

	mu       sync.Mutex
	breakers map[string]*breaker.Breaker // by id; those of instances that are known
}

var _ api.Peers = (*Client)(nil)

// New makes a client of an instance, which is never asked itself.
func New(source Source, self discovery.Instance, table limits.Table, config breaker.Config) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // instances are near
	transport.IdleConnTimeout = table.PeerIdle
	transport.MaxIdleConnsPerHost = 16
	return &Client{
		source: source, self: self.ID, zone: self.Zone, http: &http.Client{Transport: transport}, limits: table,
		config: config, breakers: map[string]*breaker.Breaker{},
	}
}

// Find asks up to two instances, one after the other.
func (c *Client) Find(ctx context.Context, id string) (parse.Video, bool) {
	var before []string
	for range asked {
		instance, ok := c.pick(before)
		if !ok {
			break
		}
		before = append(before, instance.ID)
		if video, err := c.ask(ctx, instance, id); err == nil {
			return video, true
		}
	}
	return parse.Video{}, false
}

// pick chooses one that is neither we nor was asked before.
func (c *Client) pick(before []string) (discovery.Instance, bool) {
	for range tries {
		instance, ok := c.source.Pick(c.zone)
		if !ok {
			break
		}
		if instance.ID != c.self && !slices.Contains(before, instance.ID) {
			return instance, true
		}
	}
	// By chance, or because in our zone there is nobody else: take any.
	for _, instance := range c.source.Instances() {
		if instance.Weight > 0 && instance.ID != c.self && !slices.Contains(before, instance.ID) {
			return instance, true
		}
	}
	return discovery.Instance{}, false
}

func (c *Client) ask(ctx context.Context, instance discovery.Instance, id string) (video parse.Video, err error) {
	done, err := c.breaker(instance.ID).Allow()
	if err != nil {
		return video, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.limits.Peer)
	defer cancel()
	video, err = c.get(ctx, instance, id)
	if errors.Is(err, errNone) {
		done(nil)
	} else {
		done(err)
	}
	return video, err
}

func (c *Client) get(ctx context.Context, instance discovery.Instance, id string) (video parse.Video, err error) {
	address := "http://" + instance.Address + "/v1/videos/" + url.PathEscape(id) + "?fields=full"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return video, err
	}
	request.Header.Set(api.FromPeer, "1")
	guard.TraceOf(ctx).Headers(request.Header)
	answer, err := c.http.Do(request)
	if err != nil {
		return video, err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return video, errNone
	default:
		return video, fmt.Errorf("%s answers %s", instance.ID, answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, longest+1))
	if err != nil {
		return video, err
	}
	if len(body) > longest {
		return video, fmt.Errorf("%s answers with more than %d bytes", instance.ID, longest)
	}
	if err := json.Unmarshal(body, &video); err != nil {
		return video, fmt.Errorf("%s answers with no video: %w", instance.ID, err)
	}
	if video.ID != id {
		return parse.Video{}, fmt.Errorf("%s answers with another video", instance.ID)
	}
	return video, nil
}

// breaker gives an instance's own, and forgets those of instances that have left.
func (c *Client) breaker(id string) *breaker.Breaker {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.breakers[id]
	if found == nil {
		c.forget()
		found = breaker.New(c.config)
		c.breakers[id] = found
	}
	return found
}

func (c *Client) forget() {
	known := map[string]bool{}
	for _, instance := range c.source.Instances() {
		known[instance.ID] = true
	}
	for id := range c.breakers {
		if !known[id] {
			delete(c.breakers, id)
		}
	}
}

// Standing is how the breaker of an instance stands.
type Standing struct {
	Instance string
	breaker.Snapshot
}

// Standings tells of every instance that was asked and is known still, for metrics.
func (c *Client) Standings() []Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
	standings := make([]Standing, 0, len(c.breakers))
	for id, one := range c.breakers {
		standings = append(standings, Standing{id, one.Snapshot()})
	}
	slices.SortFunc(standings, func(a, b Standing) int { return strings.Compare(a.Instance, b.Instance) })
	return standings
}
