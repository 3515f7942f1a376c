package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A quantile is never below the true one, and never above it by more than a thousandth.
func TestQuantilesAreThoseOfASortedList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var h histogram
		times := make([]time.Duration, 1+random.IntN(3000))
		for i := range times {
			times[i] = time.Duration(random.Uint64() >> (1 + random.IntN(63)))
			h.add(times[i])
		}
		slices.Sort(times)
		for _, part := range []float64{.001, .5, .9, .99, .999, 1} {
			want := times[max(0, int(float64(len(times))*part+0.999999)-1)]
			if got := h.quantile(part); got < want || float64(got) > float64(want)*1.001+1 {
				t.Fatalf("%v of %d: %d, want %d", part, len(times), got, want)
			}
		}
	}
}

func TestBucketsFollowOneAnother(t *testing.T) {
	for _, value := range []uint64{0, 1, 2047, 2048, 2049, 1 << 20, 1<<40 + 12345, 1<<63 - 1} {
		at := bucket(value)
		if upper(at) < value || at > 0 && upper(at-1) >= value {
			t.Errorf("%d is in bucket %d, which ends at %d", value, at, upper(at))
		}
	}
}

func TestEveryHundredShotsHaveTheMix(t *testing.T) {
	var m mix
	if err := m.Set("get=50,feed=20,parse4=25,parse40=5"); err != nil {
		t.Fatal(err)
	}
	dealt := shots(m)
	for start := 0; start < len(dealt); start += 100 {
		counts := mix{}
		for _, one := range dealt[start : start+100] {
			counts[one.kind]++
		}
		if counts.String() != m.String() {
			t.Errorf("from %d on: %s", start, counts)
		}
	}
	for _, wrong := range []string{"", "get", "get=1", "post=100", "get=101,feed=-1"} {
		if err := m.Set(wrong); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func planFor(url string) plan {
	return plan{url: url, protocol: "1.1", rate: 2000, count: 1000, warmup: 100, workers: 64, core: -1, mix: usualMix(), timeout: 5 * time.Second}
}

// All requests are sent, those that count are counted, and never before they are due.
func TestARunKeepsItsRate(t *testing.T) {
	var came atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came.Add(1) }))
	defer server.Close()

	report, err := run(context.Background(), planFor(server.URL))

	if err != nil || came.Load() != 1100 || report.Count != 1000 || len(report.Errors) != 0 {
		t.Fatalf("%d came; %+v, %v", came.Load(), report, err)
	}
	if report.Achieved > 2000*1.01 {
		t.Errorf("%v a second is above the rate", report.Achieved)
	}
	if report.Latency.P50 < report.Service.P50 {
		t.Errorf("latency %v is below the time that the service took, %v", report.Latency.P50, report.Service.P50)
	}
}

// Where the service stands still, requests that were due meanwhile have waited, and their latency says so.
func TestWaitingCounts(t *testing.T) {
	var came atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if came.Add(1) == 500 {
			time.Sleep(300 * time.Millisecond)
		}
	}))
	defer server.Close()
	p := planFor(server.URL)
	p.workers = 1 // one connection, so that one slow answer holds up all

	report, err := run(context.Background(), p)

	if err != nil {
		t.Fatal(err)
	}
	// At 2,000 a second 600 requests were due in the 300 ms; a generator that waits would have seen one slow answer.
	if report.Latency.P90 < 100_000 {
		t.Errorf("P90 is %v us", report.Latency.P90)
	}
	// And it was the generator, short of connections, that sent them late: the run says nothing of the service.
	if report.Valid || !strings.Contains(report.Reason, "late") {
		t.Errorf("valid: %v, %q", report.Valid, report.Reason)
	}
}

func TestJudge(t *testing.T) {
	for _, row := range []struct {
		lag, latency, achieved float64
		valid                  bool
	}{{10, 100, 1000, true}, {51, 100, 1000, false}, {50, 100, 1000, true}, {10, 100, 970, false}} {
		r := Report{Rate: 1000, Achieved: row.achieved, Lag: Quantiles{P99: row.lag}, Latency: Quantiles{P99: row.latency}}
		if r.judge(); r.Valid != row.valid {
			t.Errorf("%+v: %v, %s", row, r.Valid, r.Reason)
		}
	}
}

func TestErrorsAreCountedByKind(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	p := planFor(server.URL)
	p.count, p.warmup = 50, 0
	report, err := run(context.Background(), p)
	if err != nil || report.Errors["status 503"] != 50 {
		t.Errorf("%+v, %v", report.Errors, err)
	}
	server.Close()
	if report, err = run(context.Background(), p); err != nil || report.Errors["connection failed"] != 50 {
		t.Errorf("%+v, %v", report.Errors, err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	for _, args := range [][]string{
		{"-rate", "0"}, {"-rate", "1000000"}, {"-count", "0"}, {"-count", "10000000", "-rate", "10"}, {"-workers", "0"},
		{"-protocol", "1.0"}, {"-protocol", "3"}, {"-mix", "get=1"},
		{"-url", "http://192.0.2.1:8080"}, {"-url", "http://localhost.example"}, {"-url", "ftp://127.0.0.1"}, {"-url", "127.0.0.1"},
	} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}

// The schedule is exact: a second has as many requests as the rate says, the first at its start, and no two distances
// differ by more than the nanosecond that times are rounded to.
func TestTheScheduleIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		rate := 1 + random.IntN(mostRate)
		second := random.IntN(600)
		if at := dueAt(second*rate, rate); at != time.Duration(second)*time.Second {
			t.Fatalf("request %d at %d a second is due at %v", second*rate, rate, at)
		}
		number := random.IntN(mostRequests)
		distance := dueAt(number+1, rate) - dueAt(number, rate)
		if least := time.Second / time.Duration(rate); distance < least || distance > least+1 {
			t.Fatalf("at %d a second, %d comes %v before the next", rate, number, distance)
		}
	}
}

// A rate that no generator keeps is no measure of the service: the exit code says so, and so do words.
func TestAnOverloadedGeneratorSaysSo(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	var out, complaints bytes.Buffer

	code := command(context.Background(), strings.Fields("-rate 200000 -count 10000 -warmup 0 -workers 2 -mix get=100 -url "+server.URL), &out, &complaints)

	var report Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if code != exitInvalid || report.Valid || !strings.HasPrefix(complaints.String(), "load: invalid: ") {
		t.Errorf("exit code %d, valid: %v, %q", code, report.Valid, &complaints)
	}
}

// A redirect would lead away from loopback.
func TestRedirectsAreNotFollowed(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("http://192.0.2.1/", http.StatusFound))
	defer server.Close()
	p := planFor(server.URL)
	p.count, p.warmup = 20, 0
	if report, err := run(context.Background(), p); err != nil || report.Errors["status 302"] != 20 {
		t.Errorf("%+v, %v", report.Errors, err)
	}
}

func TestTheReadmeHasEveryMember(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []reflect.Type{reflect.TypeFor[Report](), reflect.TypeFor[Quantiles]()} {
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("%s is not told", name)
			}
		}
	}
}
