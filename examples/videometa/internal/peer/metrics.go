package peer

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Collector shows how the breakers of instances stand; instances come and go, so it asks at every scrape.
type Collector struct{ client *Client }

// NewCollector makes one for a client.
func NewCollector(client *Client) *Collector { return &Collector{client} }

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("videometa_peer_"+name, help, []string{"instance"}, nil)
}

var (
	state     = describe("breaker_state", "0 closed, 1 open, 2 half-open.")
	bad       = describe("breaker_bad_ratio", "Part of the window's calls that were bad.")
	threshold = describe("breaker_threshold_ratio", "Part above which it opens.")
	opened    = describe("breaker_opened_total", "How often it opened.")
	rejected  = describe("breaker_rejected_total", "Calls not made.")

	unanswered = prometheus.NewDesc("videometa_peer_unanswered_total",
		"Videos that were neither found nor known to be absent, since an instance could not be asked.", nil, nil)
)

// Describe is prometheus.Collector's.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{state, bad, threshold, opened, rejected, unanswered} {
		to <- desc
	}
}

// Collect is prometheus.Collector's.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(unanswered, prometheus.CounterValue, float64(c.client.Unanswered()))
	for _, one := range c.client.Standings() {
		gauge := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64) {
			to <- prometheus.MustNewConstMetric(desc, kind, value, one.Instance)
		}
		gauge(state, prometheus.GaugeValue, float64(one.State))
		gauge(bad, prometheus.GaugeValue, one.Rate)
		gauge(threshold, prometheus.GaugeValue, one.Threshold)
		gauge(opened, prometheus.CounterValue, float64(one.Opened))
		gauge(rejected, prometheus.CounterValue, float64(one.Rejected))
	}
}
