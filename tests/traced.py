"""A program that does on command what a trace should see, in an image of its own."""

from pathlib import Path

from archives import file, folder, link
from built_images import put_layers
from gobuild import go_module
from wherry.oci.config import RuntimeConfig
from wherry.store.disk import DiskStore

ACTOR = """package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

func serve(address string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		os.ReadFile("/etc/late")
		w.Write([]byte("ok"))
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	fmt.Println(http.ListenAndServe(address, mux))
	os.Exit(7)
}

func main() {
	word := "serve"
	if len(os.Args) > 1 {
		word = os.Args[1]
	}
	switch word {
	case "serve":
		serve(":8080")
	case "mute":
		signal.Ignore(syscall.SIGTERM)
		serve("127.0.0.1:8080")
	case "exit":
		os.ReadFile("/etc/first")
		os.ReadFile("rel/last")
		fmt.Println("usage: actor needs a config")
		os.Exit(3)
	case "files":
		os.ReadFile("/etc/link")
		os.ReadFile("/data/secret")
		os.WriteFile("/tmp/made", nil, 0o600)
		var group sync.WaitGroup
		for i := range 8 {
			group.Add(1)
			go func() { os.ReadFile(fmt.Sprintf("/etc/thread%d", i)); group.Done() }()
		}
		group.Wait()
		exec.Command("/app/actor", "child").Run()
		exec.Command("/app/none").Run()
		net.Dial("unix", "/run/none.sock")
		net.Dial("tcp", "127.0.0.1:9")
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		time.Sleep(50 * time.Millisecond)
	case "child":
		os.ReadFile("/etc/of-child")
	case "background":
		command := exec.Command("/app/actor", "serve")
		command.Start()
	case "flood":
		line := make([]byte, 1<<16)
		for range 1000 {
			os.Stdout.Write(line)
		}
	case "reexec":
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			os.ReadFile("/etc/before")
			done <- syscall.Exec("/app/locked", []string{"again", "child"}, nil)
		}()
		fmt.Println(<-done)
	case "storm":
		for i := range 1000 {
			os.ReadFile(fmt.Sprintf("/etc/storm/%d", i))
		}
		os.ReadFile("/etc/" + strings.Repeat("x", 5000))
		os.ReadFile("/etc/\\xff\\xfe\\x1b[31m")
		os.ReadFile("../../../..//etc/./real")
	case "spin":
		for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		}
	case "hang":
		fmt.Println("hangs")
		time.Sleep(time.Hour)
	case "mount":
		if _, err := os.ReadFile("/config/app.yaml"); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}
"""


def actor() -> Path:
    """Build the program."""
    return go_module({"main.go": ACTOR}, "-ldflags=-s -w", module="example.com/actor", go="1.22")


def put_actor(store: DiskStore, name: str = "actor:dev") -> None:
    """Store the image; /etc/dead is of no use to it."""
    binary = actor()
    layer = [
        folder("app"), file("app/actor", binary.read_bytes(), mode=0o755),
        file("app/locked", binary.read_bytes(), mode=0o711), folder("data"), folder("etc"), folder("tmp"),
        file("data/secret", b"s", mode=0o600), file("etc/dead", b"dead" * 100), file("etc/late", b"l"),
        link("etc/link", "real"), file("etc/real", b"r"),
    ]  # fmt: skip
    config = RuntimeConfig(entrypoint=("/app/actor",), user="65532:65532", working_dir="/etc")
    with store.writing():
        store.tag(name, put_layers(store, [layer], config))
