// Package metrics counts what the service does, for Prometheus: requests by rate, errors and duration, and how its
// breakers, its discovery and its logs stand.
package metrics

import (
	"bytes"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"example.com/videometa/internal/breaker"
	"example.com/videometa/internal/discovery"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

const namespace = "videometa"

// Metrics is all that is counted.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	shed     prometheus.Counter
	panics   prometheus.Counter
	broken   prometheus.Counter
}

// New makes them; version and build say what is running.
func New(version, build string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "requests_total", Help: "Requests answered.",
		}, []string{"route", "method", "protocol", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "request_duration_seconds", Help: "Time from a request's headers to the end of its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "requests_in_flight", Help: "Requests at work.",
		}),
		shed: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "requests_shed_total", Help: "Requests turned away because too many were at work.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "panics_total", Help: "Handlers that panicked and were caught.",
		}),
		broken: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "broken_pipes_total", Help: "Writes to a client, or a reader of logs, that had gone (SIGPIPE).",
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "What is running; always 1.",
		ConstLabels: prometheus.Labels{"version": version, "build": build},
	})
	info.Set(1)
	m.registry.MustRegister(m.requests, m.duration, m.inFlight, m.shed, m.panics, m.broken, info,
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsGC)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers /metrics.
func (m *Metrics) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var page bytes.Buffer
		if err := write(&page, m.registry); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = page.WriteTo(w) // who asked may have gone
	})
}

// Began counts a request in.
func (m *Metrics) Began() { m.inFlight.Inc() }

// Ended counts a request out. The route is the pattern that matched, so that there are as many series as patterns,
// whatever is asked for.
func (m *Metrics) Ended(route, verb, protocol string, status int, took time.Duration) {
	m.inFlight.Dec()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
	m.requests.WithLabelValues(route, method(verb), protocol, strconv.Itoa(status)).Inc()
}

// Shed counts a request that was turned away.
func (m *Metrics) Shed() { m.shed.Inc() }

// Panicked counts a handler's panic.
func (m *Metrics) Panicked() { m.panics.Inc() }

// BrokenPipe counts a write to somebody who had gone.
func (m *Metrics) BrokenPipe() { m.broken.Inc() }

// method keeps the number of label values bounded: a client may send any word.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions:
		return name
	}
	return "other"
}

// Register adds what counts for itself.
func (m *Metrics) Register(collector prometheus.Collector) { m.registry.MustRegister(collector) }

func (m *Metrics) gauge(name, help string, labels prometheus.Labels, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Name: name, Help: help, ConstLabels: labels,
	}, value))
}

func (m *Metrics) counter(name, help string, labels prometheus.Labels, value func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: namespace, Name: name, Help: help, ConstLabels: labels,
	}, value))
}

// Breaker shows how the breaker of a dependency stands.
func (m *Metrics) Breaker(dependency string, snapshot func() breaker.Snapshot) {
	labels := prometheus.Labels{"dependency": dependency}
	m.gauge("breaker_state", "0 closed, 1 open, 2 half-open.", labels, func() float64 { return float64(snapshot().State) })
	m.gauge("breaker_bad_ratio", "Part of the window's calls that were bad.", labels, func() float64 { return snapshot().Rate })
	m.gauge("breaker_threshold_ratio", "Part above which it opens.", labels, func() float64 { return snapshot().Threshold })
	m.gauge("breaker_usual_ratio", "Part that is usual.", labels, func() float64 { return snapshot().Usual })
	m.counter("breaker_opened_total", "How often it opened.", labels, func() float64 { return float64(snapshot().Opened) })
	m.counter("breaker_rejected_total", "Calls not made.", labels, func() float64 { return float64(snapshot().Rejected) })
}

// Registrar shows how this instance's registration stands.
func (m *Metrics) Registrar(standing func() discovery.Standing) {
	m.gauge("registered", "Whether others can find this instance.", nil, func() float64 { return truth(standing().Registered) })
	m.counter("registrations_total", "How often it had to register.", nil, func() float64 { return float64(standing().Registrations) })
	m.counter("beats_total", "Leases kept.", nil, func() float64 { return float64(standing().Beats) })
	m.counter("beats_failed_total", "Beats and registrations that failed.", nil, func() float64 { return float64(standing().Failures) })
}

// Resolver shows what is known of a service's instances.
func (m *Metrics) Resolver(service string, knowledge func() discovery.Knowledge) {
	labels := prometheus.Labels{"service": service}
	m.gauge("instances", "Instances known.", labels, func() float64 { return float64(knowledge().Instances) })
	m.gauge("instances_away", "Whether etcd can't be followed, so that they are as last known.", labels, func() float64 { return truth(knowledge().Away) })
	m.gauge("instances_age_seconds", "Since etcd last said something.", labels, func() float64 { return knowledge().Age.Seconds() })
}

// Bodies shows what requests' bodies, and answers to them, hold of the memory that they may.
func (m *Metrics) Bodies(used func() int64, refused func() uint64) {
	m.gauge("bodies_bytes", "Memory that bodies and answers to them hold.", nil, func() float64 { return float64(used()) })
	m.counter("bodies_refused_total", "Times that there was no memory left for them.", nil, func() float64 { return float64(refused()) })
}

// Logs shows what was not written.
func (m *Metrics) Logs(dropped func() map[slog.Level]uint64) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		m.counter("log_lines_dropped_total", "Log lines that were not written.", prometheus.Labels{"level": level.String()},
			func() float64 { return float64(dropped()[level]) })
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
