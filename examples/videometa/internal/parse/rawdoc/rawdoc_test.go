package rawdoc_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"

	"example.com/videometa/internal/parse/rawdoc"
)

func TestMakesTheSameDocumentOfTheSameSeed(t *testing.T) {
	for _, size := range []int{400, 4_000, 40_000, 400_000} {
		make := func(seed uint64) []byte { return rawdoc.Make(rand.New(rand.NewPCG(seed, 0)), "v000001", size) }
		doc := make(1)
		if !json.Valid(doc) || !bytes.Equal(doc, make(1)) || bytes.Equal(doc, make(2)) {
			t.Errorf("%d: not JSON, or not of its seed: %.80s", size, doc)
		}
		if off := float64(len(doc))/float64(size) - 1; off < -0.2 || off > 0.2 {
			t.Errorf("asked for %d bytes, got %d", size, len(doc))
		}
	}
}

func TestAnEscapedDocumentSaysTheSame(t *testing.T) {
	doc := rawdoc.Make(rand.New(rand.NewPCG(1, 0)), "v000001", 400)
	escaped := rawdoc.Escaped(doc)
	var want, got any
	if json.Unmarshal(doc, &want) != nil || json.Unmarshal(escaped, &got) != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s", escaped)
	}
	if bytes.Count(escaped, []byte(`\u`)) < 10 {
		t.Errorf("not escaped: %s", escaped)
	}
}

func TestPlain(t *testing.T) {
	for raw, want := range map[string]bool{
		`{"id":"a","x":[{"y":1},{"y":2},[1,true,null]]}`: true,
		`{"id":"é\ud83d\ude00"}`:                         true,
		`{"id":"a","id":"b"}`:                            false,
		`{"x":[{"y":1,"\u0079":2}]}`:                     false,
		`{"ID":"a"}`:                                     false,
		`{"x":{"Id":"a"}}`:                               false,
		"{\"id\":\"\xff\"}":                              false,
		`{"id":"\ud800"}`:                                false,
		`{"id":"a"} x`:                                   false,
		``:                                               false,
	} {
		if rawdoc.Plain([]byte(raw), "id") != want {
			t.Errorf("%s: not %v", raw, want)
		}
	}
}
