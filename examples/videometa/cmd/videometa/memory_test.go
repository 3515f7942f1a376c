package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const container = 128 << 20

// inContainer gives the words before a program's that run it in a cgroup of 128 MiB.
func inContainer(t *testing.T) []string {
	t.Helper()
	root, limit := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		root, limit = "/sys/fs/cgroup", "memory.max"
	}
	group := filepath.Join(root, fmt.Sprint("videometa-", os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skipf("there is no cgroup to be had: %v", err)
	}
	t.Cleanup(func() {
		for range 100 { // the kernel lets it go a little after its last process
			if err := os.Remove(group); err == nil || errors.Is(err, os.ErrNotExist) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	if err := os.WriteFile(filepath.Join(group, limit), fmt.Append(nil, container), 0o644); err != nil {
		t.Skipf("memory can't be limited: %v", err)
	}
	return []string{"sh", "-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(group, "cgroup.procs")}
}

func zipped(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// 512 bodies at once, each within the limits, do not take the service out of a small container.
func TestManyLargeBodiesInASmallContainer(t *testing.T) {
	if os.Getenv("VIDEOMETA_HEAVY") == "" {
		t.Skip("VIDEOMETA_HEAVY is not set: the second ring runs this")
	}
	if build == "baseline" {
		t.Skip("the baseline has no budget")
	}
	fill := func(size int, before string, with byte, after string) []byte {
		middle := bytes.Repeat([]byte{with}, size-len(before)-len(after))
		return zipped(t, append(append([]byte(before), middle...), after...))
	}
	bodies := map[string]struct {
		body []byte
		want int
	}{
		"spaces before":   {fill(16<<20, "[", ' ', `{"id":"a"}]`), 200},
		"spaces within":   {fill(16<<20, `[{"id":`, ' ', `"a"}]`), 200},
		"a long title":    {fill(4<<20, `[{"id":"a","title":"`, 'x', `"}]`), 200},
		"no UTF-8":        {fill(4<<20, `[{"id":"a","title":"`, 0xff, `"}]`), 413},
		"a thousand deep": {zipped(t, []byte("["+strings.TrimSuffix(strings.Repeat(`{"id":"a","x":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+"},", 500), ",")+"]")), 200},
	}
	p := startProcess(t, inContainer(t), "-bodies", "512", "-share", "1")
	p.listening(t)
	client := &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 512}}
	post := func(body []byte) int {
		request, err := http.NewRequest("POST", "http://"+p.listen["http"]+"/v1/videos:parse", bytes.NewReader(body))
		if err != nil {
			return 0
		}
		request.Header.Set("Content-Encoding", "gzip")
		response, err := client.Do(request)
		if err != nil {
			return 0
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	for name, one := range bodies {
		var (
			all  sync.WaitGroup
			mu   sync.Mutex
			seen = map[int]int{}
		)
		for range 512 {
			all.Go(func() {
				status := post(one.body)
				mu.Lock()
				defer mu.Unlock()
				seen[status]++
			})
		}
		all.Wait()
		t.Logf("%s: %v", name, seen)
		if seen[one.want]+seen[503] != 512 {
			t.Errorf("%s: %v", name, seen)
		}
		if got := post(one.body); got != one.want {
			t.Errorf("%s, when the others were done: %d", name, got)
		}
	}
	_ = p.Process.Signal(syscall.SIGTERM)
	if err := p.end(t); err != nil {
		t.Errorf("asked to end: %v", err)
	}
}
