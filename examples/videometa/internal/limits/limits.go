// Package limits is the one table of how long things may take and how large they may be.
//
// Whoever needs a limit takes it from a [Table], so that [Table.Check] sees those that depend on each other side by side.
package limits

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Table has every limit of the service.
type Table struct {
	// Of one connection and request, in the order they come.
	ReadHeader time.Duration // until a request's headers are here
	Read       time.Duration // until its body is here
	Request    time.Duration // a handler's deadline, its calls of peers within it
	Write      time.Duration // from the headers to the end of the answer
	Idle       time.Duration // a connection without a request
	PeerIdle   time.Duration // the same, where we are the client
	Peer       time.Duration // one call of another instance

	// Of the end, one after the other: readiness goes off, and until Notice balancers send requests still.
	Deregister time.Duration // taking our lease back, until those who watch know it
	Notice     time.Duration // it runs at the same time, but is not cut short
	Finish     time.Duration // requests in flight
	Linger     time.Duration // HTTP/3: from the last request's end until connections that are left are cut
	Flush      time.Duration // the log's last lines
	Grace      time.Duration // what the platform allows: terminationGracePeriodSeconds, docker stop -t

	// Of discovery.
	Lease     time.Duration // an instance that died is forgotten after it
	Heartbeat time.Duration // a beat's distance, before jitter
	Jitter    float64       // the part of Heartbeat by which a beat may come earlier or later
	Beat      time.Duration // one call of etcd
	Reconnect time.Duration // the longest pause of attempts to reach etcd, and the longest such attempt

	// Of size, in bytes.
	Headers  int   // of a request
	Body     int64 // of a request, as sent
	Plain    int64 // of a request, after decompression
	Held     int64 // of all requests' bodies, and the answers to them, in memory at once
	Batch    int   // documents in a request
	Document int64 // of one of them

	// Of numbers and rates.
	InFlight int           // requests at once, beyond which they are shed
	Bodies   int           // requests at once that have a body; they take none of the places of the others
	Share    float64       // the part of either that clients of one address may have; 1 where a proxy is before us
	Stall    time.Duration // a body may be so far behind
	BodyRate int64         // bytes a second that a body has to come with
}

// Default is what the service runs with.
func Default() Table {
	return Table{
		ReadHeader: 5 * time.Second,
		Read:       10 * time.Second,
		Request:    5 * time.Second,
		Write:      20 * time.Second,
		Idle:       90 * time.Second,
		PeerIdle:   60 * time.Second,
		Peer:       500 * time.Millisecond,

		Deregister: 2 * time.Second,
		Notice:     5 * time.Second,
		Finish:     18 * time.Second,
		Linger:     time.Second,
		Flush:      2 * time.Second,
		Grace:      30 * time.Second,

		Lease:     15 * time.Second,
		Heartbeat: 4 * time.Second,
		Jitter:    0.2,
		Beat:      2 * time.Second,
		Reconnect: 2 * time.Second,

		Headers:  16 << 10,
		Body:     4 << 20,
		Plain:    16 << 20,
		Held:     64 << 20,
		Batch:    1000,
		Document: 4 << 20,

		InFlight: 512,
		Bodies:   256,
		Share:    0.5,
		Stall:    2 * time.Second,
		BodyRate: 16 << 10,
	}
}

// LogValue is what the service prints of it when it starts: every time, for those who set the platform's.
func (t Table) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("read-header", t.ReadHeader.String()), slog.String("read", t.Read.String()),
		slog.String("request", t.Request.String()), slog.String("write", t.Write.String()),
		slog.String("idle", t.Idle.String()), slog.String("peer-idle", t.PeerIdle.String()),
		slog.String("deregister", t.Deregister.String()), slog.String("notice", t.Notice.String()),
		slog.String("finish", t.Finish.String()), slog.String("flush", t.Flush.String()),
		slog.String("grace", t.Grace.String()))
}

// NextBeat is the time to the next beat: calls of many instances are not to come at once.
func (t Table) NextBeat() time.Duration {
	return time.Duration(float64(t.Heartbeat) * (1 + t.Jitter*(2*rand.Float64()-1)))
}

// rule is what has to hold between limits; broken gives the reason where it doesn't.
type rule struct {
	holds  bool
	broken string
}

// Check tells every rule between limits that is broken.
func (t Table) Check() error {
	latestBeat := time.Duration(float64(t.Heartbeat) * (1 + t.Jitter))
	var errs []error
	for _, r := range []rule{
		{0 < t.ReadHeader && t.ReadHeader <= t.Read, "headers are part of what is read: ReadHeader should be at most Read"},
		{t.Read+t.Request <= t.Write, "Write starts with the headers, so it should last for Read and Request"},
		{0 < t.Peer && 2*t.Peer <= t.Request, "a call of a peer that failed should leave time to answer: Peer should be at most half of Request"},
		{t.PeerIdle < t.Idle, "the client should give a connection up before the server does: PeerIdle should be below Idle"},
		{t.Notice+t.Finish+t.Deregister+t.Flush < t.Grace, "Notice, Finish, Deregister and Flush should end before the platform kills: their sum should be below Grace"},
		{0 < t.Linger && t.Linger+t.Request <= t.Finish, "a request that was taken should be let end, and its answer arrive: Finish should be at least Request and Linger"},
		{0 <= t.Notice && 0 < t.Deregister, "Notice should not be negative, and Deregister should be above 0"},
		{0 <= t.Jitter && t.Jitter < 1, "Jitter should be at least 0 and below 1"},
		{0 < t.Heartbeat && 3*latestBeat <= t.Lease, "a lease should outlive two lost beats: Lease should be at least three of the latest Heartbeat"},
		{0 < t.Beat && t.Beat <= t.Heartbeat, "a beat should end before the next: Beat should be at most Heartbeat"},
		{0 < t.Reconnect && 2*t.Reconnect+latestBeat+t.Beat < t.Lease, "after an outage an instance should be back within a lease: two of Reconnect, the latest Heartbeat and Beat should be below Lease"},
		{t.Lease >= time.Second && t.Lease%time.Second == 0, "etcd counts leases in seconds: Lease should be whole ones"},
		{0 < t.Body && t.Body <= t.Plain, "Body is the compressed form of Plain: it should not be above it"},
		{0 < t.Document && 5*t.Document <= t.Held, "the longest document should find room: Held should be at least five of Document"},
		{0 < t.Headers && 0 < t.Batch && 0 < t.InFlight, "Headers, Batch and InFlight should be above 0"},
		{0 < t.Held && 0 < t.Bodies && 0 < t.BodyRate, "Held, Bodies and BodyRate should be above 0"},
		{0 < t.Share && t.Share <= 1, "Share is a part: it should be above 0 and at most 1"},
		{0 < t.Stall && t.Stall <= t.Request, "Stall should be at most Request, after which nothing is read"},
	} {
		if !r.holds {
			errs = append(errs, fmt.Errorf("limits: %s", r.broken))
		}
	}
	return errors.Join(errs...)
}
