package serve

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"example.com/videometa/internal/limits"
)

// overUDP serves HTTP/3, and takes 0-RTT: the guard lets nothing through in it that may change something.
func overUDP(address string, handler http.Handler, secure *tls.Config, table limits.Table, log *slog.Logger) (listener, *http3.Server, error) {
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return listener{}, nil, fmt.Errorf("h3: %w", err)
	}
	counted := &requests{next: handler}
	served := &http3.Server{
		Handler:        counted,
		TLSConfig:      http3.ConfigureTLSConfig(secure),
		QUICConfig:     &quic.Config{Allow0RTT: true, MaxIdleTimeout: table.Idle, HandshakeIdleTimeout: table.ReadHeader},
		MaxHeaderBytes: table.Headers,
		IdleTimeout:    table.Idle,
		Logger:         log,
	}
	return listener{
		name: "h3", address: socket.LocalAddr(), server: &overQUIC{served, counted, table.Linger}, release: socket.Close,
		serve: func() error { return served.Serve(socket) },
	}, served, nil
}

// overQUIC is an HTTP/3 server whose end waits for requests, not for connections: a client that has vanished would keep
// its own until it is idle for long enough, and no request is on it.
type overQUIC struct {
	*http3.Server
	requests *requests
	linger   time.Duration
}

// Shutdown tells clients to go, and waits until they have, or until no request is left and their last answers had the
// time of linger to arrive.
func (o *overQUIC) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	gone := make(chan error, 1)
	go func() { gone <- o.Server.Shutdown(ctx) }()
	select {
	case err := <-gone:
		return err
	case <-o.requests.none(ctx, o.linger):
	}
	cancel() // closes what is left
	if <-gone; o.requests.running() > 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// requests counts those that are at work.
type requests struct {
	next    http.Handler
	mu      sync.Mutex
	count   int
	changed time.Time // when one last began or ended
}

func (r *requests) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.add(1)
	defer r.add(-1)
	r.next.ServeHTTP(w, request)
}

func (r *requests) add(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count += n
	r.changed = time.Now()
}

func (r *requests) running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// none is closed when there was no request for a while, or ctx is done.
func (r *requests) none(ctx context.Context, during time.Duration) <-chan struct{} {
	none := make(chan struct{})
	go func() {
		defer close(none)
		from := time.Now()
		for ctx.Err() == nil && !r.quiet(from, during) {
			select {
			case <-ctx.Done():
			case <-time.After(during / 10):
			}
		}
	}()
	return none
}

func (r *requests) quiet(from time.Time, during time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed.After(from) {
		from = r.changed
	}
	return r.count == 0 && time.Since(from) >= during
}

// withDeadlines gives HTTP/3's requests the deadlines that net/http gives its own.
func withDeadlines(next http.Handler, table limits.Table) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		now := time.Now()
		_ = control.SetReadDeadline(now.Add(table.Read)) // a stream has both
		_ = control.SetWriteDeadline(now.Add(table.Write))
		next.ServeHTTP(w, r)
	})
}

// advertised tells clients that HTTP/3 is here too (RFC 7838).
func advertised(next http.Handler, by *http3.Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = by.SetQUICHeaders(w.Header()) // it fails before it listens and after: then there is nothing to tell
		next.ServeHTTP(w, r)
	})
}
