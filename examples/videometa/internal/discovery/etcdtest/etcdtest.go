// Package etcdtest starts a real etcd for a test.
package etcdtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Etcd is one of a test alone.
type Etcd struct {
	Address string
	Folder  string // its data is in data
	Process *exec.Cmd

	t      testing.TB
	peer   string
	flags  []string
	scheme string
}

// Start starts one, and ends it with the test; where it isn't installed, the test is skipped, but not in CI.
func Start(t testing.TB, scheme string, flags ...string) *Etcd {
	t.Helper()
	if _, err := exec.LookPath("etcd"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI has to have etcd")
		}
		t.Skip("etcd is not installed")
	}
	e := &Etcd{t: t, Folder: t.TempDir(), Address: freePort(t), peer: freePort(t), flags: flags, scheme: scheme}
	e.Start()
	t.Cleanup(e.Stop)
	return e
}

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// Start starts it again, with the data that is there.
func (e *Etcd) Start() {
	e.t.Helper()
	client, peer := e.scheme+"://"+e.Address, "http://"+e.peer
	e.Process = exec.Command("etcd", append([]string{
		"--data-dir", filepath.Join(e.Folder, "data"), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer,
		"--log-level", "error", "--heartbeat-interval", "50", "--election-timeout", "250",
	}, e.flags...)...)
	e.Process.Env = append(os.Environ(), "ETCD_UNSUPPORTED_ARCH=arm64")
	if err := e.Process.Start(); err != nil {
		e.t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		connection, err := net.Dial("tcp", e.Address)
		if err == nil {
			connection.Close()
			return
		}
	}
	e.t.Fatal("etcd doesn't listen after 20 s")
}

// Stop kills it.
func (e *Etcd) Stop() {
	if e.Process != nil {
		_ = e.Process.Process.Kill()
		_ = e.Process.Wait()
		e.Process = nil
	}
}

// Forget deletes what it has, while it is stopped.
func (e *Etcd) Forget() {
	e.t.Helper()
	if err := os.RemoveAll(filepath.Join(e.Folder, "data")); err != nil {
		e.t.Fatal(err)
	}
}
