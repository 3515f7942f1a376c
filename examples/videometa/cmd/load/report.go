package main

import (
	"fmt"
	"time"
)

// Report is what a run prints: schema "videometa.load/1". Times are microseconds.
type Report struct {
	Schema   string            `json:"schema"`
	Valid    bool              `json:"valid"`
	Reason   string            `json:"reason,omitempty"`
	Protocol string            `json:"protocol"`
	Mix      string            `json:"mix"`
	Rate     int               `json:"rate"`            // asked for, a second
	Achieved float64           `json:"achieved"`        // handed out, a second
	Count    int               `json:"count"`           // requests that count
	Errors   map[string]uint64 `json:"errors"`          // statuses other than 200, and what went wrong on the way
	Latency  Quantiles         `json:"latency_us"`      // from when a request was due to the end of its answer
	Service  Quantiles         `json:"service_us"`      // from when it was sent
	Lag      Quantiles         `json:"lag_us"`          // from when it was due to when it was sent
	Seconds  float64           `json:"seconds"`         // from the start, warm-up included, to the end of the last answer
	Buckets  [][2]uint64       `json:"latency_buckets"` // nanoseconds at most, and how many: several runs can be put together
	Answered uint64            `json:"answer_bytes"`    // bytes of bodies
}

// Quantiles of a histogram.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

func quantilesOf(h *histogram) Quantiles {
	us := func(took time.Duration) float64 { return float64(took) / float64(time.Microsecond) }
	return Quantiles{
		us(h.quantile(.5)), us(h.quantile(.9)), us(h.quantile(.99)), us(h.quantile(.999)), us(h.most), us(h.mean()),
	}
}

// leastAchieved is the part of the asked rate below which a run says nothing of that rate.
const leastAchieved = 0.98

// judge tells whether a run measured the service, and not the generator.
func (r *Report) judge() {
	switch {
	case r.Lag.P99 > r.Latency.P99/2:
		r.Reason = fmt.Sprintf("the generator was late by %.0f us at P99, more than half of the latency's %.0f us", r.Lag.P99, r.Latency.P99)
	case r.Achieved < leastAchieved*float64(r.Rate):
		r.Reason = fmt.Sprintf("%.0f requests a second were sent of %d", r.Achieved, r.Rate)
	default:
		r.Valid = true
	}
}
