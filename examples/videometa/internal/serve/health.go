package serve

import (
	"encoding/json"
	"net/http"
	"sync/atomic"

	"example.com/videometa/internal/discovery"
)

// health knows whether the service wants requests.
type health struct {
	draining atomic.Bool
	standing func() discovery.Standing // nil where nobody has to find us
	others   func() discovery.Knowledge
}

// readiness is what /readyz answers.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitempty"` // why not
	Notes   []string `json:"notes,omitempty"`   // what is not as it should be, but no reason to send requests elsewhere
}

// readiness follows etcd until the first registration only. Where etcd goes away later, others still know us from their
// snapshots, and all instances going unready at once would make an outage of etcd one of the service.
func (h *health) readiness() readiness {
	var r readiness
	if h.draining.Load() {
		r.Reasons = append(r.Reasons, "draining")
	}
	if h.standing != nil {
		switch standing := h.standing(); {
		case standing.Registrations == 0:
			r.Reasons = append(r.Reasons, "not registered yet")
		case !standing.Registered:
			r.Notes = append(r.Notes, "the registration is lost for now")
		}
		if h.others().Away {
			r.Notes = append(r.Notes, "etcd is away: other instances are as they were last known")
		}
	}
	r.Ready = len(r.Reasons) == 0
	return r
}

func (h *health) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		status, now := http.StatusOK, h.readiness()
		if !now.Ready {
			status = http.StatusServiceUnavailable
		}
		say(w, status, now)
	})
}

func say(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(what) // whoever asked may have gone
}
