package parse_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"

	"example.com/videometa/internal/parse"
	"example.com/videometa/internal/parse/rawdoc"
)

const whole = `{"id":"v000001","title":"A \"quoted\" title","author":{"name":"Ada","id":"u1"},"duration_ms":9007199254740993,
	"extra":[{"id":"not this"}],"video":{"codec":"av1","width":1080,"height":1920},"tags":["a","b"],"published_at":"2026-01-02T03:04:05Z"}`

func expected() parse.Video {
	return parse.Video{
		ID: "v000001", Title: `A "quoted" title`, Author: "Ada", DurationMS: 9007199254740993,
		Width: 1080, Height: 1920, Codec: "av1", Tags: []string{"a", "b"}, PublishedAt: "2026-01-02T03:04:05Z",
	}
}

type pick = func([]byte) (parse.Video, error)

// ways are all that have to agree; under the build tag baseline they are one.
var ways = map[string]pick{
	"Pick": parse.Pick, "PickTrusted": parse.PickTrusted, "Picker": byPicker, "Standard": parse.Standard,
}

// used picks again and again, so that what it keeps shows where it shouldn't.
var used parse.Picker

// byPicker gives what a picker does strings of their own, as the others do.
func byPicker(raw []byte) (parse.Video, error) {
	lock.Lock()
	defer lock.Unlock()
	found, err := used.Pick(raw)
	if err != nil {
		return parse.Video{}, err
	}
	video := *found
	for _, text := range []*string{&video.ID, &video.Title, &video.Author, &video.Codec, &video.PublishedAt} {
		*text = strings.Clone(*text)
	}
	video.Tags = make([]string, len(found.Tags))
	for i, tag := range found.Tags {
		video.Tags[i] = strings.Clone(tag)
	}
	return video, nil
}

var lock sync.Mutex

func TestPicksEveryField(t *testing.T) {
	for name, pick := range ways {
		video, err := pick([]byte(whole))
		if err != nil || !reflect.DeepEqual(video, expected()) {
			t.Errorf("%s: %+v, %v", name, video, err)
		}
	}
}

// The document's buffer goes back to a pool: what is written there next must not show.
func TestOwnsItsStrings(t *testing.T) {
	for name, pick := range ways {
		raw := []byte(whole)
		video, _ := pick(raw)
		clear(raw)
		if !reflect.DeepEqual(video, expected()) {
			t.Errorf("%s: the video changed with the document: %+v", name, video)
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, test := range map[string]struct{ raw, field string }{
		"no id":               {`{"title":"a"}`, "id"},
		"empty id":            {`{"id":""}`, "id"},
		"null":                {`null`, ""},
		"a list":              {`[]`, ""},
		"a number as title":   {`{"id":"a","title":1}`, "title"},
		"a list as author":    {`{"id":"a","author":[]}`, "author"},
		"a list as name":      {`{"id":"a","author":{"name":[]}}`, "author.name"},
		"half a millisecond":  {`{"id":"a","duration_ms":1.5}`, "duration_ms"},
		"a text as width":     {`{"id":"a","video":{"width":"1"}}`, "video.width"},
		"too large a height":  {`{"id":"a","video":{"height":9223372036854775808}}`, "video.height"},
		"a number as codec":   {`{"id":"a","video":{"codec":1}}`, "video.codec"},
		"an object as tags":   {`{"id":"a","tags":{}}`, "tags"},
		"a number among tags": {`{"id":"a","tags":["a",1]}`, "tags"},
		"a bool as time":      {`{"id":"a","published_at":true}`, "published_at"},
	} {
		for way, pick := range ways {
			_, err := pick([]byte(test.raw))
			var wrong *parse.FieldError
			if !errors.As(err, &wrong) || !strings.HasPrefix(wrong.Field, test.field) {
				t.Errorf("%s, %s: %v", name, way, err)
			}
		}
	}
}

func TestRefusesWhatIsNotJSON(t *testing.T) {
	for _, raw := range []string{"", "{", `{"id":"a"}x`, `{"id":"a",}`, `{"id":'a'}`, "{\"id\":\"a\nb\"}", `{"id":"a","x":01}`, `{"id":"a","x":NaN}`} {
		for _, way := range []string{"Pick", "Standard"} {
			if _, err := ways[way]([]byte(raw)); !errors.Is(err, parse.ErrNotJSON) {
				t.Errorf("%s of %q: %v", way, raw, err)
			}
		}
	}
}

// Without the limit gjson's recursion takes the gigabyte of stack that Go allows, and the process ends.
func TestDepthHasALimit(t *testing.T) {
	nested := func(depth int) []byte {
		return []byte(`{"id":"a","x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + "}")
	}
	for _, way := range []string{"Pick", "Standard"} {
		if _, err := ways[way](nested(parse.MaxDepth - 1)); err != nil {
			t.Errorf("%s: %d deep: %v", way, parse.MaxDepth, err)
		}
		for _, depth := range []int{parse.MaxDepth, 8 << 20} {
			if _, err := ways[way](nested(depth)); !errors.Is(err, parse.ErrNotJSON) {
				t.Errorf("%s: %d deep: %v", way, depth+1, err)
			}
		}
		flat := []byte(`{"id":"a","x":"\"` + strings.Repeat("[{", parse.MaxDepth) + `","y":[` + strings.Repeat("[],", parse.MaxDepth) + `0]}`)
		if _, err := ways[way](flat); err != nil {
			t.Errorf("%s: many brackets, none deep: %v", way, err)
		}
	}
}

func TestMoreTagsThanRoom(t *testing.T) {
	raw := []byte(`{"id":"a","tags":["0` + strings.Repeat(`","1`, 40) + `"]}`)
	for name, pick := range ways {
		if video, err := pick(raw); err != nil || len(video.Tags) != 41 || video.Tags[40] != "1" {
			t.Errorf("%s: %+v, %v", name, video, err)
		}
	}
}

// A pool of buffers and many at a time, for the race detector.
func TestManyAtOnce(t *testing.T) {
	raw := rawdoc.Make(rand.New(rand.NewPCG(1, 2)), "v000007", 4_000)
	done := make(chan parse.Video)
	for range 8 {
		go func() {
			video, _ := parse.Pick(bytes.Clone(raw))
			done <- video
		}()
	}
	first := <-done
	for range 7 {
		if video := <-done; !reflect.DeepEqual(video, first) {
			t.Errorf("%+v, then %+v", first, video)
		}
	}
}
