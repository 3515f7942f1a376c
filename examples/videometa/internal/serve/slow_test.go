package serve

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"example.com/videometa/internal/limits"
)

// Bodies that never come take no place of anybody else's: not of questions, not of others' bodies. They end, too.
func TestBodiesThatNeverCome(t *testing.T) {
	s := startWith(t, func(table *limits.Table) {
		table.Stall, table.Request, table.Write = 10*time.Second, 10*time.Second, time.Minute
	})
	defer s.drained(t)
	const many = 520
	connections := make([]net.Conn, many)
	for i := range connections {
		connection, err := net.Dial("tcp", s.Address("http").String())
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		connections[i] = connection
		fmt.Fprint(connection, "POST /v1/videos:parse HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[")
	}
	statuses := make(chan int, many)
	for _, connection := range connections {
		go func() {
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil {
				statuses <- 0
				return
			}
			statuses <- response.StatusCode
		}()
	}
	shed := many - s.config.Limits.Bodies/2
	for range shed { // so many are turned away at once: an address has a half of the places, and no more
		if got := <-statuses; got != http.StatusServiceUnavailable {
			t.Fatalf("one too many got %d", got)
		}
	}
	client := s.client(t, (*http.Protocols).SetHTTP1)
	if response, _ := get(t, client, s.url("http", "/v1/videos/v000001")); response.StatusCode != 200 {
		t.Errorf("a question got %d", response.StatusCode)
	}
	another := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	other := &http.Client{Transport: &http.Transport{DialContext: another.DialContext}, Timeout: 10 * time.Second}
	defer other.CloseIdleConnections()
	response, err := other.Post(s.url("http", "/v1/videos:parse"), "application/json", strings.NewReader(`[{"id":"a"}]`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 {
		t.Errorf("another's body got %d", response.StatusCode)
	}
	for range many - shed {
		if got := <-statuses; got != http.StatusRequestTimeout {
			t.Errorf("a body that never came got %d", got)
		}
	}
}

// A trickle is cut off when it is too far behind, whatever the protocol.
func TestABodyThatTrickles(t *testing.T) {
	s := startWith(t, func(table *limits.Table) { table.Stall = 300 * time.Millisecond })
	defer s.drained(t)
	h3 := &http3.Transport{TLSClientConfig: s.trusted.Clone()}
	defer h3.Close()
	for name, client := range map[string]*http.Client{
		"http":  s.client(t, (*http.Protocols).SetHTTP1),
		"https": s.client(t, (*http.Protocols).SetHTTP2),
		"h3":    {Transport: h3, Timeout: 10 * time.Second},
	} {
		reader, writer := io.Pipe()
		go func() {
			for {
				if _, err := io.WriteString(writer, " "); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		began := time.Now()
		response, err := client.Post(s.url(name, "/v1/videos:parse"), "application/json", reader)
		reader.Close()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		response.Body.Close()
		if took := time.Since(began); response.StatusCode != http.StatusRequestTimeout || took > s.config.Limits.Request {
			t.Errorf("%s: %d after %v", name, response.StatusCode, took)
		}
	}
}
