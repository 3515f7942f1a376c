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
// Cost: one pass to validate, one to pick; two allocations, the text of the strings and the list of tags, and a few more
// where strings that it enters have escapes.
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
// The strings of a video are part of the document it was picked from, or of the picker's buffer where they had escapes, and
// the list of tags is the picker's: all are valid until the document is written to and until the picker picks again.
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
	*f = finder{rest: f.rest[:0], walker: walker{plain: kept(f.walker.plain)}}
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

// kept is a buffer to use again; one that a large document has blown up isn't kept.
func kept(buffer []byte) []byte {
	if cap(buffer) > 64<<10 {
		return nil
	}
	return buffer[:0]
}

// finder has the fields found so far, their strings still part of the document.
type finder struct {
	video Video
	tags  [16]string // A slice of an array beside would put that array on the heap.
	count int
	rest  []string // The tags for which the array has no room.
	err   error

	walker walker
}

// walk finds the fields, in one pass.
func (f *finder) walk(raw []byte) {
	root, _ := next(raw, space(raw, 0))
	if root.kind != isObject {
		f.err = wrong("document", "an object")
		return
	}
	f.walker.members(root.raw, func(name string, v value) bool {
		f.member(name, v)
		return f.err == nil
	})
}

func (f *finder) member(name string, v value) {
	switch name {
	case "id":
		f.text(&f.video.ID, "id", v)
	case "title":
		f.text(&f.video.Title, "title", v)
	case "published_at":
		f.text(&f.video.PublishedAt, "published_at", v)
	case "duration_ms":
		f.video.DurationMS = f.whole(f.video.DurationMS, 64, "duration_ms", v)
	case "author":
		f.author(v)
	case "video":
		f.format(v)
	case "tags":
		f.list(v)
	}
}

func (f *finder) author(author value) {
	f.object("author", author, func(name string, v value) bool {
		if name == "name" {
			f.text(&f.video.Author, "author.name", v)
		}
		return f.err == nil
	})
}

func (f *finder) format(video value) {
	f.object("video", video, func(name string, v value) bool {
		switch name {
		case "width":
			f.video.Width = int(f.whole(int64(f.video.Width), strconv.IntSize, "video.width", v))
		case "height":
			f.video.Height = int(f.whole(int64(f.video.Height), strconv.IntSize, "video.height", v))
		case "codec":
			f.text(&f.video.Codec, "video.codec", v)
		}
		return f.err == nil
	})
}

func (f *finder) object(field string, v value, member func(name string, v value) bool) {
	switch v.kind {
	case isObject:
		f.walker.members(v.raw, member)
	case isNull:
	default:
		f.err = wrong(field, "an object")
	}
}

func (f *finder) list(v value) {
	f.count, f.rest = 0, f.rest[:0]
	switch v.kind {
	case isNull:
		return
	case isList:
	default:
		f.err = wrong("tags", "a list of strings")
		return
	}
	f.walker.elements(v.raw, func(tag value) bool {
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
func (f *finder) text(field *string, name string, v value) {
	switch v.kind {
	case isText:
		*field = f.walker.text(v.raw)
	case isNull:
	default:
		f.err = wrong(name, "a string")
	}
}

// whole reads a number's digits; 1.5 and 1e3 are none.
func (f *finder) whole(before int64, bits int, name string, v value) int64 {
	if v.kind == isNull {
		return before
	}
	number, err := strconv.ParseInt(unsafe.String(unsafe.SliceData(v.raw), len(v.raw)), 10, bits)
	if v.kind != isNumber || err != nil {
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
