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
	"sync/atomic"
	"time"

	"example.com/videometa/internal/api"
	"example.com/videometa/internal/breaker"
	"example.com/videometa/internal/discovery"
	"example.com/videometa/internal/guard"
	"example.com/videometa/internal/limits"
	"example.com/videometa/internal/parse"
)

const (
	atOnce  = 8        // instances that are asked for one video side by side, where the first has not got it
	longest = 64 << 10 // bytes of an answer
)

// errNone says that an instance has no such video, which is a good answer.
var errNone = errors.New("no such video")

// Source picks instances; discovery.Resolver is one.
type Source interface {
	Pick(zone string) (discovery.Instance, bool)
	Instances() []discovery.Instance
	Known() bool // false: nothing was heard of instances yet, so there may be any number of them
}

// Client asks; it is an api.Peers.
type Client struct {
	source Source
	self   string
	zone   string
	http   *http.Client
	limits limits.Table
	config breaker.Config

	unanswered atomic.Uint64

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
	if config.SlowCeiling == 0 {
		config.SlowCeiling = table.Peer / 2
	}
	return &Client{
		source: source, self: self.ID, zone: self.Zone, http: &http.Client{Transport: transport, CheckRedirect: never},
		limits: table, config: config, breakers: map[string]*breaker.Breaker{},
	}
}

// never keeps to the instance that was asked: one that sends us elsewhere is none of ours.
func never(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Find asks one instance, and if that has it not all others: a video is absent only where each of them said so.
func (c *Client) Find(ctx context.Context, id string) (video parse.Video, found bool, err error) {
	if !c.source.Known() {
		c.unanswered.Add(1)
		return video, false, api.Unanswered{}
	}
	first, others := c.order()
	if first == nil {
		return video, false, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, len(others)+1)
	go func() { answers <- c.ask(ctx, *first, id) }()
	var unanswered api.Unanswered
	missing := 0
	for waiting, next := 1, 0; waiting > 0; waiting-- {
		one := <-answers
		if one.err == nil {
			return one.video, true, nil // the calls still on their way end with ctx
		}
		if !errors.Is(one.err, errNone) {
			missing++
			unanswered.After = max(unanswered.After, one.after)
		}
		for ; next < len(others) && waiting <= atOnce; next, waiting = next+1, waiting+1 {
			instance := others[next]
			go func() { answers <- c.ask(ctx, instance, id) }()
		}
	}
	if missing > 0 {
		c.unanswered.Add(1)
		return video, false, unanswered
	}
	return video, false, nil
}

// order gives the instance to ask first, by weight and zone, and all others that get calls at all; nil: there is none.
func (c *Client) order() (first *discovery.Instance, others []discovery.Instance) {
	picked, ok := c.source.Pick(c.zone)
	for _, instance := range c.source.Instances() {
		switch {
		case instance.ID == c.self || instance.Weight < 1:
		case ok && instance.ID == picked.ID:
			first = &instance
		default:
			others = append(others, instance)
		}
	}
	if first == nil && len(others) > 0 { // we picked ourselves, or one that left in between
		first, others = &others[0], others[1:]
	}
	return first, others
}

// answer is an instance's; after is when it may be asked again, where that is known.
type answer struct {
	video parse.Video
	err   error
	after time.Duration
}

func (c *Client) ask(ctx context.Context, instance discovery.Instance, id string) answer {
	guard := c.breaker(instance.ID)
	done, err := guard.Allow()
	if err != nil {
		return answer{err: err, after: guard.RetryAfter()}
	}
	limited, cancel := context.WithTimeout(ctx, c.limits.Peer)
	defer cancel()
	video, err := c.get(limited, instance, id)
	switch {
	case err == nil || errors.Is(err, errNone):
		done(nil)
	case ctx.Err() != nil: // who asked us has gone, or waits no longer: that says nothing of the instance
		done(breaker.ErrAbandoned)
	default:
		done(err)
	}
	return answer{video: video, err: err}
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
	ours := answer.Header.Get(api.SchemaHeader) != "" // another server may have got the address, and knows no video at all
	switch {
	case ours && answer.StatusCode == http.StatusOK:
	case ours && answer.StatusCode == http.StatusNotFound:
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

// Unanswered is how often a video could be neither found nor said to be absent.
func (c *Client) Unanswered() uint64 { return c.unanswered.Load() }

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
