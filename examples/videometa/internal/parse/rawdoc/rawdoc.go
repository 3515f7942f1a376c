// Package rawdoc makes raw metadata documents such as an upload pipeline writes: for seeds, tests, benchmarks and load.
package rawdoc

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
)

var (
	words  = strings.Fields("harbour morning crane river night market train rain bicycle lantern garden summer tide kite bridge")
	codecs = []string{"h264", "hevc", "vp9", "av1"}
	sizes  = [][2]int{{720, 1280}, {1080, 1920}, {1920, 1080}, {2160, 3840}}
)

// Make writes a document of about size bytes (never below 400), the same for the same random source.
//
// What the service picks stands around the bulk, as it does in practice: id, title and author come first, then the
// renditions, which make up the size, then the format, the tags and the time of publication.
func Make(random *rand.Rand, id string, size int) []byte {
	var doc bytes.Buffer
	doc.Grow(size + 512)
	author := random.IntN(5_000)
	fmt.Fprintf(&doc, `{"id":%q,"title":%q,"author":{"id":"u%05d","name":%q,"verified":%t},"duration_ms":%d,"renditions":[`,
		id, phrase(random, 4), author, fmt.Sprintf("%s %d", pick(random, words), author), author%7 == 0, 3_000+random.IntN(177_000))
	tail := end(random)
	for first := true; first || doc.Len()+len(tail)+len(rendition)/2 < size; first = false {
		if !first {
			doc.WriteByte(',')
		}
		fmt.Fprintf(&doc, rendition, 144+random.IntN(2_000), 100_000+random.IntN(9_000_000), random.Float64(), random.Uint64())
	}
	doc.WriteString(tail)
	return doc.Bytes()
}

// Escaped is a document with its title in escapes alone, as writers of ASCII write every title that isn't English.
func Escaped(doc []byte) []byte {
	before, rest, _ := bytes.Cut(doc, []byte(`"title":"`))
	title, after, _ := bytes.Cut(rest, []byte(`"`))
	var out bytes.Buffer
	out.Write(before)
	out.WriteString(`"title":"`)
	for _, c := range string(title) {
		fmt.Fprintf(&out, `\u%04x`, c)
	}
	out.WriteByte('"')
	out.Write(after)
	return out.Bytes()
}

const rendition = `{"height":%d,"bitrate":%d,"score":%.4f,"url":"https://cdn.example/%016x.m4s","ready":true}`

func end(random *rand.Rand) string {
	size := pick(random, sizes)
	return fmt.Sprintf(`],"video":{"width":%d,"height":%d,"codec":%q},"tags":[%q,%q],"published_at":"2026-%02d-%02dT%02d:00:00Z"}`,
		size[0], size[1], pick(random, codecs), pick(random, words), pick(random, words),
		1+random.IntN(12), 1+random.IntN(28), random.IntN(24))
}

func phrase(random *rand.Rand, length int) string {
	chosen := make([]string, length)
	for i := range chosen {
		chosen[i] = pick(random, words)
	}
	return strings.Join(chosen, " ")
}

func pick[T any](random *rand.Rand, choices []T) T { return choices[random.IntN(len(choices))] }
