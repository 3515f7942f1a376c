// Load sends requests at a constant rate, whatever the answers take, and says how well it kept to it.
//
// Each request has a time at which it is due, fixed before the first is sent; latency counts from then. A generator that
// waits for an answer before it sends the next would leave out just the requests that had to wait. How late requests were
// sent, the generator's own lag, is reported beside the latency: where its P99 passes half of the latency's, the run measured
// the generator, is called invalid, and the exit code is 3.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const (
	mostRate     = 200_000
	mostRequests = 50_000_000
	longest      = 10 * time.Minute

	exitBroken  = 1
	exitUsage   = 2
	exitInvalid = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// command does what the arguments ask, and gives the exit code.
func command(ctx context.Context, args []string, out, complaints io.Writer) int {
	plan, err := parse(args, complaints)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(complaints, "load:", err)
		return exitUsage
	}
	report, err := run(ctx, plan)
	if err == nil {
		err = json.NewEncoder(out).Encode(report)
	}
	if err != nil {
		fmt.Fprintln(complaints, "load:", err)
		return exitBroken
	}
	if !report.Valid {
		fmt.Fprintln(complaints, "load: invalid:", report.Reason)
		return exitInvalid
	}
	return 0
}

// plan is what a run shall do.
type plan struct {
	url      string
	protocol string
	rate     int // requests a second
	count    int
	warmup   int // requests sent before those that count
	workers  int // connections for HTTP/1.1, streams at once otherwise
	core     int // the generator's own; -1 is any
	mix      mix
	timeout  time.Duration
	ca       string
}

func parse(args []string, usage io.Writer) (plan, error) {
	p := plan{mix: usualMix()}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&p.url, "url", "http://127.0.0.1:8080", "where the service is; on loopback, as this is no tool to trouble others with")
	flags.StringVar(&p.protocol, "protocol", "1.1", "`version` of HTTP: 1.1, 2 or 3")
	flags.IntVar(&p.rate, "rate", 1000, "requests a second")
	flags.IntVar(&p.count, "count", 100_000, "requests that count")
	flags.IntVar(&p.warmup, "warmup", 1000, "requests before those that count")
	flags.IntVar(&p.workers, "workers", 256, "requests in flight at most; where all are, the next is late, and counts as late")
	flags.IntVar(&p.core, "core", -1, "`number` of the processor that the generator has for itself")
	flags.Var(&p.mix, "mix", "shares of requests, such as get=70,feed=10,parse4=15,parse40=5")
	flags.DurationVar(&p.timeout, "timeout", 10*time.Second, "how long an answer may take")
	flags.StringVar(&p.ca, "ca", "", "`file` of the certificates that the service's is verified by")
	if err := flags.Parse(args); err != nil {
		return p, err
	}
	return p, p.check()
}

func (p plan) check() error {
	if !onLoopback(p.url) {
		return fmt.Errorf("-url %q: should be http:// or https:// with localhost or an address of loopback", p.url)
	}
	switch took := time.Duration(p.count+p.warmup) * time.Second / time.Duration(max(p.rate, 1)); {
	case p.rate < 1 || p.rate > mostRate:
		return fmt.Errorf("-rate %d: should be 1 to %d", p.rate, mostRate)
	case p.count < 1 || p.count > mostRequests || p.warmup < 0 || p.warmup > mostRequests:
		return fmt.Errorf("-count %d, -warmup %d: should be at least 1 and 0, and at most %d", p.count, p.warmup, mostRequests)
	case took > longest:
		return fmt.Errorf("%d requests at %d a second take %v: should be at most %v", p.count+p.warmup, p.rate, took, longest)
	case p.workers < 1 || p.workers > 1<<16:
		return fmt.Errorf("-workers %d: should be 1 to %d", p.workers, 1<<16)
	case p.protocol != "1.1" && p.protocol != "2" && p.protocol != "3":
		return fmt.Errorf("-protocol %q: should be 1.1, 2 or 3", p.protocol)
	case p.protocol == "3" && !strings.HasPrefix(p.url, "https://"):
		return fmt.Errorf("-url %q: HTTP/3 should have https://", p.url)
	}
	return nil
}

// onLoopback tells whether requests stay on this machine. Names other than localhost would have to be looked up, again for
// each connection.
func onLoopback(text string) bool {
	at, err := url.Parse(text)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" {
		return false
	}
	return at.Hostname() == "localhost" || net.ParseIP(at.Hostname()).IsLoopback()
}
