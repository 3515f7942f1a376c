package limits

import (
	"strings"
	"testing"
	"time"
)

func TestTheDefaultsAgreeWithEachOther(t *testing.T) {
	if err := Default().Check(); err != nil {
		t.Error(err)
	}
}

func TestEachRuleIsSeenWhenBroken(t *testing.T) {
	for word, spoil := range map[string]func(*Table){
		"ReadHeader should":    func(l *Table) { l.ReadHeader = l.Read + 1 },
		"Write starts":         func(l *Table) { l.Write = l.Read },
		"half of Request":      func(l *Table) { l.Peer = l.Request },
		"below Idle":           func(l *Table) { l.PeerIdle = l.Idle },
		"at least Request and": func(l *Table) { l.Finish, l.Request = time.Second, 2*time.Second },
		"below Grace":          func(l *Table) { l.Notice = l.Grace },
		"be negative":          func(l *Table) { l.Notice = -1 },
		"below 1":              func(l *Table) { l.Jitter = 1 },
		"two lost beats":       func(l *Table) { l.Heartbeat = l.Lease / 2 },
		"before the next":      func(l *Table) { l.Beat = l.Heartbeat + 1 },
		"within a lease":       func(l *Table) { l.Reconnect = l.Lease / 2 },
		"whole ones":           func(l *Table) { l.Lease += time.Millisecond },
		"form of Plain":        func(l *Table) { l.Plain = l.Body - 1 },
		"should be above 0":    func(l *Table) { l.InFlight = 0 },
		"five of Document":     func(l *Table) { l.Document = l.Held },
		"Share is a part":      func(l *Table) { l.Share = 1.1 },
		"Stall should":         func(l *Table) { l.Stall = l.Request + 1 },
		"BodyRate should":      func(l *Table) { l.BodyRate = 0 },
		"Deregister should ":   func(l *Table) { l.Deregister = 0 },
	} {
		table := Default()
		spoil(&table)
		if err := table.Check(); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q is missing in: %v", word, err)
		}
	}
}

func TestBeatsAreSpread(t *testing.T) {
	table := Default()
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		least, most = min(least, table.NextBeat()), max(most, table.NextBeat())
	}
	if least < 3200*time.Millisecond || most > 4800*time.Millisecond || most-least < time.Second {
		t.Errorf("beats are %v to %v apart", least, most)
	}
}
