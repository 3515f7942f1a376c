package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// due is a request with the time at which it shall be sent.
type due struct {
	at     time.Duration // since the start
	shot   *shot
	counts bool
}

// taken is what was seen.
type taken struct {
	lock                  sync.Mutex
	latency, service, lag histogram
	errors                map[string]uint64
	bytes                 uint64
}

func (t *taken) add(one due, sent, end time.Duration, size int64, err error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.latency.add(end - one.at)
	t.service.add(end - sent)
	t.lag.add(sent - one.at)
	t.bytes += uint64(size)
	if err != nil {
		t.errors[err.Error()]++
	}
}

func run(ctx context.Context, p plan) (Report, error) {
	client, err := newClient(p)
	if err != nil {
		return Report{}, err
	}
	defer client.CloseIdleConnections()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), atWork)))
	queue := make(chan due, p.workers)
	all := &taken{errors: map[string]uint64{}}
	start := time.Now().Add(50 * time.Millisecond)
	var busy sync.WaitGroup
	for range p.workers {
		busy.Go(func() { work(ctx, client, p, start, queue, all) })
	}
	sent, err := pace(ctx, p, start, queue)
	close(queue)
	busy.Wait()
	if err != nil {
		return Report{}, err
	}
	return p.report(all, sent, time.Since(start)), nil
}

// atWork is how many of Go's threads may run at once, on one processor too. With one, as Go has it there, the pacer that
// wakes waits for Go's scheduler to give it its turn: on a busy machine requests were sent 119 microseconds late at the
// median; with four, 45.
const atWork = 4

// dueAt is when a request is due, to the nanosecond, however many were before it.
func dueAt(number, rate int) time.Duration {
	return time.Duration(number/rate)*time.Second + time.Duration(number%rate)*time.Second/time.Duration(rate)
}

// pace hands requests out, each when it is due, from a thread of its own that sleeps in the kernel: Go's timers would
// wake it by another thread, and late where processors are busy.
func pace(ctx context.Context, p plan, start time.Time, queue chan<- due) (last time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := pin(p.core); err != nil {
		return 0, err
	}
	punctual()
	dealt := shots(p.mix)
	for i := range p.warmup + p.count {
		if i%256 == 0 && ctx.Err() != nil {
			return 0, errors.New("stopped")
		}
		at := dueAt(i, p.rate)
		sleepUntil(start.Add(at))
		queue <- due{at, &dealt[i%len(dealt)], i >= p.warmup}
		last = time.Since(start)
	}
	return last, nil
}

// pin gives this thread a processor for itself, as far as others stay away from it.
func pin(core int) error {
	if core < 0 {
		return nil
	}
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("-core %d: %w", core, err)
	}
	return nil
}

// punctual lets the kernel wake this thread before those that wait for answers, where we may ask for that, and all of
// ours when they asked to be woken: it may otherwise add 50 microseconds to gather wake-ups. That goes for the sleeps of
// Go's own scheduler too, by which a request goes from the pacer to its sender.
//
// Not by SCHED_FIFO: with it, one run of four stood still for 950 milliseconds, which is how long the kernel lets a thread
// of a real-time class have a processor (sched_rt_runtime_us). Most likely it span in Go's runtime, which waits for its
// own threads in loops around sched_yield, and such a thread yields to none of another class.
//
// Source: setpriority(2), of a thread in Linux; proc(5), timerslack_ns, which new threads have of their makers.
func punctual() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -20)
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		_ = os.WriteFile("/proc/"+thread.Name()+"/timerslack_ns", []byte("1"), 0)
	}
}

// spun is how long before its time the pacer wakes, to look at the clock until it is there.
const spun = 10 * time.Microsecond

func sleepUntil(at time.Time) {
	for {
		left := time.Until(at)
		if left <= 0 {
			return
		}
		if left > spun {
			rest := unix.NsecToTimespec(int64(left - spun))
			_ = unix.Nanosleep(&rest, nil) // woken early by a signal, it sleeps again
		}
	}
}

func work(ctx context.Context, client *http.Client, p plan, start time.Time, queue <-chan due, to *taken) {
	buffer := make([]byte, 64<<10)
	for one := range queue {
		sent := time.Since(start)
		size, err := send(ctx, client, p, one.shot, buffer)
		if one.counts {
			to.add(one, sent, time.Since(start), size, err)
		}
	}
}

// failed is an answer that is none; the words are few, so that they can be counted.
type failed string

func (f failed) Error() string { return string(f) }

func send(ctx context.Context, client *http.Client, p plan, s *shot, buffer []byte) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var body io.Reader
	if s.body != nil {
		body = bytes.NewReader(s.body)
	}
	request, err := http.NewRequestWithContext(ctx, s.method, p.url+s.path, body)
	if err != nil {
		return 0, failed("the request could not be made")
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, failed(word(err))
	}
	defer answer.Body.Close()
	size, err := io.CopyBuffer(onlyWriter{io.Discard}, answer.Body, buffer)
	switch {
	case err != nil:
		return size, failed(word(err))
	case answer.StatusCode != http.StatusOK:
		return size, failed("status " + strconv.Itoa(answer.StatusCode))
	}
	return size, nil
}

// onlyWriter hides io.Discard's own way to read, which takes a buffer from a pool.
type onlyWriter struct{ io.Writer }

func word(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return "connection failed"
}

func (p plan) report(t *taken, sent, end time.Duration) Report {
	r := Report{
		Schema: "videometa.load/1", Protocol: p.protocol, Mix: p.mix.String(), Rate: p.rate, Count: p.count,
		Achieved: float64(p.warmup+p.count) / max(sent.Seconds(), 1e-9), Errors: t.errors,
		Latency: quantilesOf(&t.latency), Service: quantilesOf(&t.service), Lag: quantilesOf(&t.lag),
		Seconds: end.Seconds(), Buckets: t.latency.buckets(), Answered: t.bytes,
	}
	r.judge()
	return r
}
