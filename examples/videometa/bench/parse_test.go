// Package bench has what is measured beside others' libraries, in a module of its own: the service doesn't carry them.
package bench

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"example.com/videometa/internal/parse"
	"example.com/videometa/internal/parse/rawdoc"
	"github.com/bytedance/sonic"
	"github.com/tidwall/gjson"
)

// sizes of documents, in bytes.
var sizes = []int{400, 4_000, 40_000, 400_000}

// way is one to get at a document's fields; it fails where it doesn't see them.
type way struct {
	name string
	pick func(raw []byte) error
}

// validating ways look at all of a document, and refuse what is no JSON.
func validating() []way {
	var picker parse.Picker
	return []way{
		{"picker", func(raw []byte) error { _, err := picker.Pick(raw); return err }},
		{"pick", func(raw []byte) error { _, err := parse.Pick(raw); return err }},
		{"encoding-json", func(raw []byte) error { _, err := parse.Standard(raw); return err }},
		{"encoding-json-any", func(raw []byte) error { var all any; return json.Unmarshal(raw, &all) }},
		{"sonic", func(raw []byte) error {
			var document parse.Document
			if err := sonic.ConfigStd.Unmarshal(raw, &document); err != nil {
				return err
			}
			_, err := document.Picked()
			return err
		}},
	}
}

// trusting ways take it for JSON, and stop looking where they have what they want.
func trusting() []way {
	var picker parse.Picker
	return []way{
		{"picker", func(raw []byte) error { _, err := picker.PickTrusted(raw); return err }},
		{"pick", func(raw []byte) error { _, err := parse.PickTrusted(raw); return err }},
		{"gjson-two-gets", func(raw []byte) error {
			title, codec := gjson.GetBytes(raw, "title"), gjson.GetBytes(raw, "video.codec")
			if title.Str == "" || codec.Str == "" {
				return fmt.Errorf("%q, %q", title.Str, codec.Str)
			}
			return nil
		}},
		{"gjson-one-pass-of-two", func(raw []byte) error {
			var title, codec string
			// gjson.ParseBytes would copy the document.
			gjson.Parse(unsafe.String(unsafe.SliceData(raw), len(raw))).ForEach(func(key, value gjson.Result) bool {
				switch key.Str {
				case "title":
					title = value.Str
				case "video":
					codec = value.Get("codec").Str
				}
				return title == "" || codec == ""
			})
			if title == "" || codec == "" {
				return fmt.Errorf("%q, %q", title, codec)
			}
			return nil
		}},
		{"sonic-two-gets", func(raw []byte) error {
			for _, path := range [][]any{{"title"}, {"video", "codec"}} {
				if _, err := sonic.Get(raw, path...); err != nil {
					return err
				}
			}
			return nil
		}},
	}
}

func BenchmarkValidating(b *testing.B) { each(b, append(validating(), v2()...)) }
func BenchmarkTrusting(b *testing.B)   { each(b, trusting()) }

// BenchmarkTitles is of a hundred documents of 4 kB, of which a part has its title in escapes.
func BenchmarkTitles(b *testing.B) {
	for _, percent := range []int{0, 10, 100} {
		documents := make([][]byte, 100)
		for i := range documents {
			documents[i] = rawdoc.Make(rand.New(rand.NewPCG(uint64(i), 2)), "v000001", 4_000)
			if i*percent%100 < percent {
				documents[i] = rawdoc.Escaped(documents[i])
			}
		}
		for _, w := range validating() {
			b.Run(fmt.Sprintf("%s/%d", w.name, percent), func(b *testing.B) {
				i := 0
				measure(b, documents[0], func([]byte) error { i++; return w.pick(documents[i%len(documents)]) })
			})
		}
	}
}

func each(b *testing.B, ways []way) {
	for _, size := range sizes {
		raw := rawdoc.Make(rand.New(rand.NewPCG(1, 2)), "v000001", size)
		for _, w := range ways {
			b.Run(fmt.Sprintf("%s/%d", w.name, size), func(b *testing.B) { measure(b, raw, w.pick) })
		}
	}
}

func measure(b *testing.B, raw []byte, pick func([]byte) error) {
	if err := pick(raw); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		if err := pick(raw); err != nil {
			b.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.PauseTotalNs-before.PauseTotalNs)/float64(b.N), "gc-pause-ns/op")
}
