package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"os/user"
	"runtime"
	"time"
)

const dialLimit = 5 * time.Second

type greeting struct {
	Hello    string `json:"hello"`
	Version  string `json:"version"`
	Platform string `json:"platform"`
	Go       string `json:"go"`
}

type zoned struct {
	Zone   string `json:"zone"`
	Time   string `json:"time"`
	Offset int    `json:"offset_seconds"`
}

type account struct {
	ID   string `json:"uid"`
	Name string `json:"name"`
	Home string `json:"home"`
}

type verdict struct {
	Roots    int      `json:"roots"`
	Address  string   `json:"address,omitempty"`
	Verified bool     `json:"verified"`
	Protocol string   `json:"protocol,omitempty"`
	Chain    []string `json:"chain,omitempty"`
	Problem  string   `json:"problem,omitempty"`
}

type refusal struct {
	Error string `json:"error"`
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", greet)
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /time", tellTime)
	mux.HandleFunc("GET /user", tellUser)
	mux.HandleFunc("GET /tls", checkTLS)
	return mux
}

// greet says what is running, and on what.
func greet(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, greeting{
		Hello: "world", Version: version, Platform: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
	})
}

func healthy(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

// tellTime needs the zones of the image: /usr/share/zoneinfo.
func tellTime(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("zone")
	if name == "" {
		name = "UTC"
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		answer(w, http.StatusNotFound, refusal{err.Error()})
		return
	}
	now := time.Now().In(zone)
	_, offset := now.Zone()
	answer(w, http.StatusOK, zoned{Zone: name, Time: now.Format(time.RFC3339), Offset: offset})
}

// tellUser needs the accounts of the image: /etc/passwd.
func tellUser(w http.ResponseWriter, _ *http.Request) {
	me, err := user.Current()
	if err != nil {
		answer(w, http.StatusInternalServerError, refusal{err.Error()})
		return
	}
	named, err := user.LookupId(me.Uid)
	if err != nil {
		answer(w, http.StatusInternalServerError, refusal{err.Error()})
		return
	}
	answer(w, http.StatusOK, account{ID: named.Uid, Name: named.Username, Home: named.HomeDir})
}

// checkTLS counts the certificates of the image and, where an address is given, dials it and verifies it by them.
func checkTLS(w http.ResponseWriter, r *http.Request) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		answer(w, http.StatusInternalServerError, refusal{err.Error()})
		return
	}
	// Subjects is deprecated since the pools of macOS and Windows hide theirs; on Linux it is the count.
	found := verdict{Roots: len(roots.Subjects()), Address: r.URL.Query().Get("address")} //nolint:staticcheck
	if found.Address != "" {
		dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialLimit}, Config: &tls.Config{MinVersion: tls.VersionTLS12}}
		connection, err := dialer.DialContext(r.Context(), "tcp", found.Address)
		if err != nil {
			found.Problem = err.Error()
			answer(w, http.StatusBadGateway, found)
			return
		}
		defer connection.Close()
		state := connection.(*tls.Conn).ConnectionState()
		found.Verified, found.Protocol = true, tls.VersionName(state.Version)
		for _, certificate := range state.PeerCertificates {
			found.Chain = append(found.Chain, certificate.Subject.String())
		}
	}
	answer(w, http.StatusOK, found)
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client went away: nobody is left to tell
}
