//go:build !baseline && !race

package parse_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"example.com/videometa/internal/parse"
	"example.com/videometa/internal/parse/rawdoc"
)

// The text of the strings and the list of tags: nothing else, however long the document.
func TestTwoAllocations(t *testing.T) {
	for _, size := range []int{400, 4_000, 40_000, 400_000} {
		raw := rawdoc.Make(rand.New(rand.NewPCG(1, 2)), "v000001", size)
		if count := testing.AllocsPerRun(50, func() { _, _ = parse.Pick(raw) }); count != 2 {
			t.Errorf("%d bytes: %v allocations", len(raw), count)
		}
	}
}

// A picker that has seen its longest list of tags needs nothing more, whatever comes.
func TestAPickerAllocatesNothing(t *testing.T) {
	var picker parse.Picker
	for _, size := range []int{400, 4_000, 40_000, 400_000} {
		raw := rawdoc.Make(rand.New(rand.NewPCG(1, 2)), "v000001", size)
		if count := testing.AllocsPerRun(50, func() { _, _ = picker.Pick(raw) }); count != 0 {
			t.Errorf("%d bytes: %v allocations", len(raw), count)
		}
	}
	many := []byte(`{"id":"a","tags":["` + strings.Repeat(`x","`, 40) + `y"]}`)
	if video, err := picker.Pick(many); err != nil || len(video.Tags) != 41 {
		t.Fatalf("%v, %v", video, err)
	}
	if count := testing.AllocsPerRun(50, func() { _, _ = picker.Pick(many) }); count != 0 {
		t.Errorf("41 tags: %v allocations", count)
	}
}

// Escapes cost a picker nothing, wherever they are: it undoes them in a buffer of its own.
func TestEscapesCostAPickerNothing(t *testing.T) {
	var picker parse.Picker
	for _, raw := range []string{
		`{"id":"a","title":"\u96e8\u4e2d\u7684\u6e2f","note":"never \"picked\"","tags":["b"]}`,
		`{"id":"a","t\u0069tle":"\ud83d\ude00 \"quoted\"","author":{"name":"\u00c9"},"tags":["\n","\\"]}`,
	} {
		document := []byte(raw)
		if count := testing.AllocsPerRun(50, func() { _, _ = picker.Pick(document) }); count != 0 {
			t.Errorf("%s: %v allocations", raw, count)
		}
	}
}
