package metrics

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// What we write is, byte for byte, what Prometheus' own library does.
func TestTheTextIsPrometheusOwn(t *testing.T) {
	m := New(`1.0 "quoted"`, "back\\slash\nand line")
	m.Began()
	m.Ended("GET /v1/videos/{id}", "GET", "HTTP/1.1", 200, 3*time.Millisecond)
	for name, value := range map[string]float64{"inf": math.Inf(1), "minus": math.Inf(-1), "nan": math.NaN(), "large": 1e21, "small": 1e-9, "million": 1e6} {
		m.gauge(name, "Some \\ help\nof two lines.", prometheus.Labels{"name": name}, func() float64 { return value })
	}
	summary := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s", Help: "S.", Objectives: map[float64]float64{0.5: 0.1, 0.99: 0.01}})
	summary.Observe(1.5)
	m.Register(summary)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	gathered := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
	var got, want bytes.Buffer
	if err := write(&got, gathered); err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&want, family); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != want.String() {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want.String())
	}
}
