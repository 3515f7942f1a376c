package parse_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"example.com/videometa/internal/parse"
	"example.com/videometa/internal/parse/rawdoc"
)

var names = []string{"id", "title", "author", "name", "duration_ms", "video", "width", "height", "codec", "tags", "published_at"}

// all are the ways of this package, fastjson and, where the toolchain has it, encoding/json/v2; their errors are their own.
func all() map[string]pick {
	ways := maps.Clone(ways)
	ways["fastjson"] = fast
	maps.Copy(ways, v2)
	return ways
}

// Where a document is plain, all ways see the same fields, or all refuse it.
func FuzzAgree(f *testing.F) {
	f.Add([]byte(whole))
	for seed := range uint64(4) {
		f.Add(rawdoc.Make(rand.New(rand.NewPCG(seed, 0)), "v000001", 400))
	}
	for _, raw := range []string{
		`{"id":"a","title":"\u0061bcde","author":{"n\u0061me":"\"\\\/\b\f\n\r\t"},"tags":["\u0078","y\u007a"]}`,
		`{"t\u0069tle":"\ud83d\ude00\ud83d\ude00","\u0074itl":"x","id":"\u0061"}`, `{"id":null}`, `{"id":"a","tags":null}`, `{"id":"a","tags":[null,""]}`, `{"id":"a","author":null,"video":null}`,
		`{"id":"a","duration_ms":-0}`, `{"id":"a","duration_ms":1e3}`, `{"id":"a","duration_ms":"1"}`, `{"id":"a","video":{"width":null}}`,
		"{\"id\" :\t\"\\u00e9\\ud83d\\ude00\\/\" ,\r\n\"i\\u0064x\":{}}", `{"i\u0064":"escaped name"}`, `[{"id":"a"}]`, `"id"`, `{"":{"id":"a"}}`,
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = parse.PickTrusted(raw) // Whatever it is given, it doesn't panic.
		if !rawdoc.Plain(raw, names...) {
			return
		}
		want, refused := parse.Standard(raw)
		for name, pick := range all() {
			if name == "fastjson" && bytes.Count(raw, []byte("["))+bytes.Count(raw, []byte("{")) > deepestFast {
				continue // it may be too deep for it
			}
			if video, err := pick(raw); !reflect.DeepEqual(video, want) || (err == nil) != (refused == nil) {
				t.Errorf("%s of %s: %+v, %v; encoding/json %+v, %v", name, raw, video, err, want, refused)
			}
		}
	})
}

// Each row of the table in README.md: where a document isn't plain, the ways may differ, and this is how.
func TestDisagreements(t *testing.T) {
	const refused = "(refused)"
	for _, row := range []struct{ name, raw, gjson, standard, v2, fast string }{
		{"a name twice", `{"id":"a","title":"1","title":"2"}`, "2", "2", refused, "1"},
		{"a name in another case", `{"id":"a","Title":"1"}`, "", "1", "", ""},
		{"the right name, then another case", `{"id":"a","title":"1","TITLE":"2"}`, "1", "2", "1", "1"},
		{"a byte that isn't UTF-8", "{\"id\":\"a\",\"title\":\"\xff\"}", "\xff", "\ufffd", refused, "\xff"},
		{"half a surrogate pair", `{"id":"a","title":"\ud800"}`, "\ufffd", "\ufffd", refused, `\ud800`},
		{"a line break in a string", "{\"id\":\"a\",\"title\":\"1\n2\"}", refused, refused, refused, "1\n2"},
		{"400 lists in each other", `{"id":"a","title":"1","x":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + `}`, "1", "1", "1", refused},
	} {
		for way, want := range map[string]string{"Pick": row.gjson, "Standard": row.standard, "v2": row.v2, "fastjson": row.fast} {
			pick, known := all()[way]
			if !known || baseline && way == "Pick" {
				continue
			}
			video, err := pick([]byte(row.raw))
			got := video.Title
			if err != nil {
				got = refused
			}
			if got != want {
				t.Errorf("%s, %s: %q, %v", row.name, way, got, err)
			}
		}
	}
}
