package serve

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// gate passes datagrams on, but while it is shut none with a client's Handshake packets or later ones: to the server the
// handshake isn't complete, so that what it answers then is an answer to early data.
type gate struct {
	client, server net.PacketConn
	to             net.Addr
	from           atomic.Pointer[net.Addr]
	open           atomic.Bool
}

func startGate(t *testing.T, to net.Addr) *gate {
	t.Helper()
	g := &gate{to: to}
	for _, socket := range []*net.PacketConn{&g.client, &g.server} {
		var err error
		if *socket, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*socket).Close() })
	}
	go g.pass(g.client, func(datagram []byte, from net.Addr) {
		g.from.Store(&from)
		if g.open.Load() || early(datagram) {
			_, _ = g.server.WriteTo(datagram, g.to)
		}
	})
	go g.pass(g.server, func(datagram []byte, _ net.Addr) { _, _ = g.client.WriteTo(datagram, *g.from.Load()) })
	return g
}

func (g *gate) pass(socket net.PacketConn, each func([]byte, net.Addr)) {
	datagram := make([]byte, 1<<16)
	for {
		n, from, err := socket.ReadFrom(datagram)
		if err != nil {
			return
		}
		each(datagram[:n], from)
	}
}

// early tells whether a datagram has Initial and 0-RTT packets alone.
//
// Source: RFC 9000, section 17.2.
func early(datagram []byte) bool {
	for len(datagram) > 7 && datagram[0] != 0 { // zeros are padding
		kind := datagram[0] >> 4 & 3
		if datagram[0]&0x80 == 0 || kind > 1 {
			return false
		}
		at := 6 + int(datagram[5])
		at += 1 + int(datagram[at])
		if kind == 0 {
			token, width := varint(datagram[at:])
			at += width + token
		}
		length, width := varint(datagram[at:])
		datagram = datagram[min(len(datagram), at+width+length):]
	}
	return true
}

func varint(raw []byte) (value, width int) {
	whole := make([]byte, 8)
	width = 1 << (raw[0] >> 6)
	copy(whole[8-width:], raw[:width])
	whole[8-width] &= 0x3f
	return int(binary.BigEndian.Uint64(whole)), width
}

// dialEarly connects, with a ticket of an earlier connection if secure has one.
func dialEarly(t *testing.T, address string, secure *tls.Config) *quic.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	connection, err := quic.DialAddrEarly(ctx, address, secure, &quic.Config{TokenStore: quic.NewLRUTokenStore(1, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

func ask(t *testing.T, connection *quic.Conn, method, url, body string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A stream of our own: RoundTrip would wait with a POST until the handshake is complete, as a good client does.
	stream, err := new(http3.Transport).NewClientConn(connection).OpenRequestStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendRequestHeader(request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stream, body); err != nil {
		t.Fatal(err)
	}
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	response, err := stream.ReadResponse()
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func TestHTTP3TakesEarlyDataOnlyToAsk(t *testing.T) {
	s := start(t)
	defer s.drained(t)
	g := startGate(t, s.Address("h3"))
	secure := s.trusted.Clone()
	secure.NextProtos = []string{http3.NextProtoH3}
	secure.ClientSessionCache = &tickets{cache: tls.NewLRUClientSessionCache(1), put: make(chan struct{}, 8)}

	// The first connection takes a ticket home.
	g.open.Store(true)
	first := dialEarly(t, g.client.LocalAddr().String(), secure)
	if response := ask(t, first, "GET", s.url("h3", "/v1/videos/v000001"), ""); response.StatusCode != 200 || response.Proto != "HTTP/3.0" {
		t.Fatalf("at first: %s %s", response.Proto, response.Status)
	}
	<-secure.ClientSessionCache.(*tickets).put // the gate stays open for what else the connection has to say
	_ = first.CloseWithError(0, "")

	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/v1/videos/v000001", "", http.StatusOK},
		{"POST", "/v1/videos:parse", `[{"id":"a"}]`, http.StatusTooEarly},
	} {
		// A gate of its own: the one before has the last connection's goodbye to pass on.
		g := startGate(t, s.Address("h3"))
		connection := dialEarly(t, g.client.LocalAddr().String(), secure)
		early := ask(t, connection, c.method, s.url("h3", c.path), c.body)
		if early.StatusCode != c.want {
			t.Errorf("%s before the handshake: %d, want %d", c.method, early.StatusCode, c.want)
		}
		g.open.Store(true)
		<-connection.HandshakeComplete()
		if !connection.ConnectionState().Used0RTT {
			t.Errorf("%s was no early data", c.method)
		}
		_ = connection.CloseWithError(0, "")
	}
}

// tickets tells when one was put.
type tickets struct {
	cache tls.ClientSessionCache
	put   chan struct{}
}

func (t *tickets) Get(key string) (*tls.ClientSessionState, bool) { return t.cache.Get(key) }

func (t *tickets) Put(key string, state *tls.ClientSessionState) {
	t.cache.Put(key, state)
	if state != nil {
		select {
		case t.put <- struct{}{}:
		default:
		}
	}
}
