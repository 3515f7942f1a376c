package guard

import (
	"net"
	"net/netip"
	"sync"
)

// places are those of requests at work, of which one address may have a part.
type places struct {
	all, each int

	mu    sync.Mutex
	taken int
	by    map[netip.Prefix]int
}

func newPlaces(all int, share float64) *places {
	return &places{all: all, each: max(1, int(share*float64(all))), by: map[netip.Prefix]int{}}
}

// take takes a place, if there is one for the address.
func (p *places) take(remote string) (leave func(), ok bool) {
	from := prefixOf(remote)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= p.all || p.by[from] >= p.each {
		return nil, false
	}
	p.taken++
	p.by[from]++
	return func() { p.leave(from) }, true
}

func (p *places) leave(from netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.by[from]--; p.by[from] == 0 {
		delete(p.by, from)
	}
}

// prefixOf is what one client has: an address of version 4, or a network of 64 bits of version 6.
func prefixOf(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	address = address.Unmap().WithZone("")
	bits := 64
	if address.Is4() {
		bits = 32
	}
	prefix, _ := address.Prefix(bits) // the number of bits is right
	return prefix
}
