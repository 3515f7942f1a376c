package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asService makes the test's own program the service.
const asService = "VIDEOMETA_TEST_AS_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(asService) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is a running service whose log is read by us.
type process struct {
	*exec.Cmd
	log    *os.File
	lines  *bufio.Scanner
	ended  chan error
	listen map[string]string // where it listens, by name
}

// entry is a line of the log.
type entry struct {
	Message string            `json:"msg"`
	As      string            `json:"as"`
	Address string            `json:"address"`
	Build   string            `json:"build"`
	Flags   map[string]string `json:"flags"`
}

func startProcess(t *testing.T, before []string, flags ...string) *process {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	words := append(append(before, os.Args[0], "-http", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-notice", "0s"), flags...)
	p := &process{
		Cmd: exec.Command(words[0], words[1:]...),
		log: reader, lines: bufio.NewScanner(reader), ended: make(chan error, 1), listen: map[string]string{},
	}
	p.Env, p.Stderr = append(os.Environ(), asService+"=1"), writer
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() { _ = p.Process.Kill(); reader.Close() })
	return p
}

func (p *process) next(t *testing.T) entry {
	t.Helper()
	var line entry
	if !p.lines.Scan() {
		t.Fatalf("the log ended: %v", p.lines.Err())
	}
	if err := json.Unmarshal(p.lines.Bytes(), &line); err != nil {
		t.Fatalf("%s: %v", p.lines.Text(), err)
	}
	if line.Message == "listening" {
		p.listen[line.As] = line.Address
	}
	return line
}

// listening reads the log until both listeners are there; the first line is returned.
func (p *process) listening(t *testing.T) (first entry) {
	t.Helper()
	first = p.next(t)
	for len(p.listen) < 2 {
		p.next(t)
	}
	return first
}

func (p *process) ask(name, path string) (string, error) {
	response, err := http.Get("http://" + p.listen[name] + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func (p *process) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("it did not end within 20 s")
		return nil
	}
}

func TestItTellsHowItRunsAndEndsWhenAsked(t *testing.T) {
	p := startProcess(t, nil)
	first := p.listening(t)
	if first.Message != "configuration" || first.Build != build || first.Flags["admin"] != "127.0.0.1:0" {
		t.Errorf("the first line is %+v", first)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.end(t); err != nil {
		t.Errorf("asked to end: %v", err)
	}
}

// A service whose log nobody reads any more goes on; the baseline dies of it, as Go has it.
func TestTheReaderOfTheLogGoes(t *testing.T) {
	p := startProcess(t, nil)
	p.listening(t)
	p.log.Close()
	_, asked := p.ask("http", "/v1/videos/none") // what it logs of this, it can't write
	if build == "baseline" {
		var exit *exec.ExitError
		if err := p.end(t); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE {
			t.Errorf("ended by %v", err)
		}
		return
	}
	if asked != nil {
		t.Fatal(asked)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		metrics, err := p.ask("admin", "/metrics")
		if err != nil {
			t.Fatalf("it serves no more: %v", err)
		}
		if strings.Contains(metrics, "videometa_broken_pipes_total") && !strings.Contains(metrics, "videometa_broken_pipes_total 0\n") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no broken pipe was counted within 10 s")
		}
	}
	_ = p.Process.Signal(syscall.SIGTERM)
	if err := p.end(t); err != nil {
		t.Errorf("asked to end: %v", err)
	}
}

// A reader of the log that stops reading stops nothing: not a request, and not the end.
func TestTheReaderOfTheLogStandsStill(t *testing.T) {
	if build == "baseline" {
		t.Skip("the baseline waits for it, as Go has it")
	}
	p := startProcess(t, nil)
	if _, err := unix.FcntlInt(p.log.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	p.listening(t)
	client := http.Client{Timeout: 10 * time.Second}
	for range 100 { // some 25 kB of log
		response, err := client.Get("http://" + p.listen["http"] + "/v1/videos/none")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	_ = p.Process.Signal(syscall.SIGTERM)
	if err := p.end(t); err != nil {
		t.Errorf("asked to end: %v", err)
	}
}
