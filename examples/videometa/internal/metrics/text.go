package metrics

import (
	"bufio"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// contentType is of the format that write writes.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// write writes what was gathered as text: client_golang's own handler knows all other formats too, for 0.3 MB of program.
//
// Source: Prometheus, "Exposition formats", text-based format 0.0.4.
func write(to io.Writer, from prometheus.Gatherer) error {
	families, err := from.Gather()
	if err != nil {
		return err
	}
	out := &text{bufio.NewWriter(to)}
	for _, family := range families {
		out.words("# HELP ", family.GetName(), " ", helps.Replace(family.GetHelp()), "\n")
		out.words("# TYPE ", family.GetName(), " ", strings.ToLower(family.GetType().String()), "\n")
		for _, metric := range family.GetMetric() {
			out.metric(family.GetName(), metric)
		}
	}
	return out.Flush()
}

var (
	helps  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	values = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

type text struct{ *bufio.Writer }

func (t *text) words(words ...string) {
	for _, word := range words {
		_, _ = t.WriteString(word) // Flush gives the error
	}
}

func (t *text) metric(name string, m *dto.Metric) {
	labels := m.GetLabel()
	switch {
	case m.Counter != nil:
		t.line(name, labels, "", "", m.GetCounter().GetValue())
	case m.Gauge != nil:
		t.line(name, labels, "", "", m.GetGauge().GetValue())
	case m.Summary != nil:
		for _, one := range m.GetSummary().GetQuantile() {
			t.line(name, labels, "quantile", number(one.GetQuantile()), one.GetValue())
		}
		t.line(name+"_sum", labels, "", "", m.GetSummary().GetSampleSum())
		t.line(name+"_count", labels, "", "", float64(m.GetSummary().GetSampleCount()))
	case m.Histogram != nil:
		for _, one := range m.GetHistogram().GetBucket() {
			t.line(name+"_bucket", labels, "le", number(one.GetUpperBound()), float64(one.GetCumulativeCount()))
		}
		t.line(name+"_bucket", labels, "le", "+Inf", float64(m.GetHistogram().GetSampleCount()))
		t.line(name+"_sum", labels, "", "", m.GetHistogram().GetSampleSum())
		t.line(name+"_count", labels, "", "", float64(m.GetHistogram().GetSampleCount()))
	}
}

// line writes one; a label of its own comes last, "" is none.
func (t *text) line(name string, labels []*dto.LabelPair, own, ownValue string, value float64) {
	t.words(name)
	between := "{"
	for _, label := range labels {
		t.words(between, label.GetName(), `="`, values.Replace(label.GetValue()), `"`)
		between = ","
	}
	if own != "" {
		t.words(between, own, `="`, ownValue, `"`)
		between = ","
	}
	if between == "," {
		t.words("}")
	}
	t.words(" ", number(value), "\n")
}

func number(value float64) string {
	switch {
	case math.IsInf(value, 1):
		return "+Inf"
	case math.IsInf(value, -1):
		return "-Inf"
	case math.IsNaN(value):
		return "NaN"
	}
	return strconv.FormatFloat(value, 'g', -1, 64)
}
