//go:build !baseline

package parse

import (
	"strconv"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"
)

// Pick reads a document that a stranger sent: all of it has to be JSON, the picked fields of their kinds.
//
// The video has no byte of raw, so raw may go back to its pool at once.
//
// Cost: one pass to validate, one to pick; two allocations, the text of the strings and the list of tags, and one more
// for every string with an escape among the members of the objects it enters.
func Pick(raw []byte) (Video, error) {
	if tooDeep(raw) || !gjson.ValidBytes(raw) {
		return Video{}, ErrNotJSON
	}
	return PickTrusted(raw)
}

// PickTrusted is [Pick] for a document that is known to be JSON, such as one that was validated when it was stored.
//
// It doesn't panic on anything else, but what it picks then is undefined.
func PickTrusted(raw []byte) (Video, error) {
	var found finder
	found.walk(raw)
	if found.err != nil {
		return Video{}, found.err
	}
	return checked(found.owned())
}

// Picker picks without an allocation, for whoever is done with a video before its document is gone.
//
// The strings of a video are part of the document it was picked from, and the list of tags is the picker's: both are
// valid until the document is written to and until the picker picks again.
type Picker struct {
	found finder
	many  []string // The tags, where there are more than the finder has room for.
}

// Pick is the function [Pick], but for what the video is made of.
func (p *Picker) Pick(raw []byte) (*Video, error) {
	if tooDeep(raw) || !gjson.ValidBytes(raw) {
		return nil, ErrNotJSON
	}
	return p.PickTrusted(raw)
}

// PickTrusted is the function [PickTrusted], but for what the video is made of.
func (p *Picker) PickTrusted(raw []byte) (*Video, error) {
	f := &p.found
	*f = finder{rest: f.rest[:0]}
	f.walk(raw)
	if f.err != nil {
		return nil, f.err
	}
	f.video.Tags = f.tags[:f.count]
	if len(f.rest) > 0 {
		p.many = append(append(p.many[:0], f.video.Tags...), f.rest...)
		f.video.Tags = p.many
	}
	if err := check(&f.video); err != nil {
		return nil, err
	}
	return &f.video, nil
}

// finder has the fields found so far, their strings still part of the document.
type finder struct {
	video Video
	tags  [16]string // A slice of an array beside would put that array on the heap.
	count int
	rest  []string // The tags for which the array has no room.
	err   error
}

// walk finds the fields, in one pass.
func (f *finder) walk(raw []byte) {
	// gjson.ParseBytes would copy the document; ours isn't written to while what was found is in use.
	root := gjson.Parse(unsafe.String(unsafe.SliceData(raw), len(raw)))
	if !root.IsObject() {
		f.err = wrong("document", "an object")
		return
	}
	root.ForEach(func(key, value gjson.Result) bool {
		f.member(key.Str, value)
		return f.err == nil
	})
}

func (f *finder) member(key string, value gjson.Result) {
	switch key {
	case "id":
		f.text(&f.video.ID, "id", value)
	case "title":
		f.text(&f.video.Title, "title", value)
	case "published_at":
		f.text(&f.video.PublishedAt, "published_at", value)
	case "duration_ms":
		f.video.DurationMS = f.whole(f.video.DurationMS, 64, "duration_ms", value)
	case "author":
		f.author(value)
	case "video":
		f.format(value)
	case "tags":
		f.list(value)
	}
}

func (f *finder) author(author gjson.Result) {
	f.object("author", author, func(key, value gjson.Result) bool {
		if key.Str == "name" {
			f.text(&f.video.Author, "author.name", value)
		}
		return f.err == nil
	})
}

func (f *finder) format(video gjson.Result) {
	f.object("video", video, func(key, value gjson.Result) bool {
		switch key.Str {
		case "width":
			f.video.Width = int(f.whole(int64(f.video.Width), strconv.IntSize, "video.width", value))
		case "height":
			f.video.Height = int(f.whole(int64(f.video.Height), strconv.IntSize, "video.height", value))
		case "codec":
			f.text(&f.video.Codec, "video.codec", value)
		}
		return f.err == nil
	})
}

func (f *finder) object(field string, value gjson.Result, member func(key, value gjson.Result) bool) {
	switch {
	case value.IsObject():
		value.ForEach(member)
	case value.Type != gjson.Null:
		f.err = wrong(field, "an object")
	}
}

func (f *finder) list(value gjson.Result) {
	f.count, f.rest = 0, f.rest[:0]
	if value.Type != gjson.Null && !value.IsArray() {
		f.err = wrong("tags", "a list of strings")
		return
	}
	if value.Type == gjson.Null {
		return
	}
	value.ForEach(func(_, tag gjson.Result) bool {
		var word string
		f.text(&word, "tags", tag)
		if f.count < len(f.tags) {
			f.tags[f.count] = word
			f.count++
		} else {
			f.rest = append(f.rest, word)
		}
		return f.err == nil
	})
}

// text leaves the field as it is where the value is null, as encoding/json does.
func (f *finder) text(field *string, name string, value gjson.Result) {
	switch value.Type {
	case gjson.String:
		*field = value.Str
	case gjson.Null:
	default:
		f.err = wrong(name, "a string")
	}
}

// whole reads the number's own digits: gjson's float64 would round what is above 2^53, and take 1.5 for 1.
func (f *finder) whole(before int64, bits int, name string, value gjson.Result) int64 {
	if value.Type == gjson.Null {
		return before
	}
	number, err := strconv.ParseInt(value.Raw, 10, bits)
	if value.Type != gjson.Number || err != nil {
		f.err = wrong(name, "a whole number of "+strconv.Itoa(bits)+" bits")
	}
	return number
}

// owned gives the video strings of its own, all cut from one.
func (f *finder) owned() Video {
	video := f.video
	video.Tags = make([]string, f.count+len(f.rest))
	copy(video.Tags[copy(video.Tags, f.tags[:f.count]):], f.rest)
	fields := [...]*string{&video.ID, &video.Title, &video.Author, &video.Codec, &video.PublishedAt}
	size := 0
	for _, field := range fields {
		size += len(*field)
	}
	for _, tag := range video.Tags {
		size += len(tag)
	}
	var text strings.Builder
	text.Grow(size)
	for _, field := range fields {
		*field = moved(&text, *field)
	}
	for i, tag := range video.Tags {
		video.Tags[i] = moved(&text, tag)
	}
	return video
}

// moved appends a word to a text that has room for it, and returns it as part of that text.
func moved(text *strings.Builder, word string) string {
	start := text.Len()
	text.WriteString(word)
	return text.String()[start:]
}
