package serve

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"example.com/videometa/internal/discovery"
	"example.com/videometa/internal/discovery/etcdtest"
	"example.com/videometa/internal/limits"
)

// Those who watch know that it goes before its port is closed.
func TestADrainWithdrawsFirst(t *testing.T) {
	e := etcdtest.Start(t, "http")
	s := start(t, "-etcd", e.Address, "-advertise", "127.0.0.1:80", "-id", "one", "-notice", "100ms")
	client := s.client(t, (*http.Protocols).SetHTTP1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	etcd, err := discovery.Dial(discovery.Access{Endpoints: []string{e.Address}, Retry: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	watcher := discovery.NewResolver(etcd, service, "", limits.Default())
	go watcher.Run(ctx)
	eventually(t, "others know it", func() bool { return len(watcher.Instances()) == 1 })
	answers := make(chan int, 1)
	go func() {
		watcher.WaitGone(ctx, "one")
		response, err := client.Get(s.url("http", "/v1/videos/v000001"))
		if err != nil {
			answers <- 0
			return
		}
		response.Body.Close()
		answers <- response.StatusCode
	}()
	// It serves on until a balancer has asked: what is asked above, too.
	s.config.Limits.Notice = 2 * time.Second
	s.drained(t)
	if got := <-answers; got != 200 {
		t.Errorf("when others knew that it goes, it answered %d", got)
	}
}

// An outage of etcd is in the metrics and a note of readiness, but no reason to send requests elsewhere.
func TestAnOutageOfEtcdIsANote(t *testing.T) {
	e := etcdtest.Start(t, "http")
	s := startWith(t, func(table *limits.Table) { table.Heartbeat, table.Beat = 200*time.Millisecond, 500*time.Millisecond },
		"-etcd", e.Address, "-advertise", "127.0.0.1:80")
	defer s.drained(t)
	client := s.client(t, (*http.Protocols).SetHTTP1)
	away := func() bool {
		_, metrics := get(t, client, s.url("admin", "/metrics"))
		return strings.Contains(metrics, `videometa_instances_away{service="videometa"} 1`)
	}
	eventually(t, "it is registered", func() bool {
		_, body := get(t, client, s.url("http", "/readyz"))
		return body == "{\"ready\":true}\n" && !away()
	})
	e.Stop()
	eventually(t, "the outage is seen", away)
	response, body := get(t, client, s.url("http", "/readyz"))
	if response.StatusCode != 200 || !strings.Contains(body, "etcd is away") {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

// A client of HTTP/3 that has vanished says no goodbye: its connection is there, but no request.
func TestADrainDoesNotWaitForAVanishedClient(t *testing.T) {
	s := start(t)
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	transport := &quic.Transport{Conn: socket}
	secure := s.trusted.Clone()
	secure.NextProtos = []string{http3.NextProtoH3}
	connection, err := transport.Dial(context.Background(), s.Address("h3"), secure, &quic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if response := ask(t, connection, "GET", s.url("h3", "/v1/videos/v000001"), ""); response.StatusCode != 200 {
		t.Fatal(response.Status)
	}
	socket.Close() // as kill -9 does it, or a phone out of coverage
	began := time.Now()
	s.drained(t)
	if took := time.Since(began); took > s.config.Limits.Finish/2 {
		t.Errorf("it waited %v for a client that had gone", took)
	}
}
