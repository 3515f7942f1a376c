package parse_test

import (
	"fmt"

	"example.com/videometa/internal/parse"
	"github.com/valyala/fastjson"
)

// deepestFast is as deep as a document may nest for fastjson, which refuses what is deeper.
const deepestFast = fastjson.MaxDepth

// fast is [parse.Standard] by fastjson: a tree of the whole document, whose fields are asked for.
func fast(raw []byte) (parse.Video, error) {
	root, err := fastjson.ParseBytes(raw)
	if err != nil {
		return parse.Video{}, err
	}
	if root.Type() != fastjson.TypeObject {
		return parse.Video{}, fmt.Errorf("document: %s", root.Type())
	}
	var (
		document parse.Document
		reader   fastReader
	)
	author, video := reader.object(root.Get("author")), reader.object(root.Get("video"))
	reader.text(&document.ID, root.Get("id"))
	reader.text(&document.Title, root.Get("title"))
	reader.text(&document.PublishedAt, root.Get("published_at"))
	reader.text(&document.Author.Name, author.Get("name"))
	reader.text(&document.Video.Codec, video.Get("codec"))
	reader.whole(&document.DurationMS, root.Get("duration_ms"))
	width, height := int64(0), int64(0)
	reader.whole(&width, video.Get("width"))
	reader.whole(&height, video.Get("height"))
	document.Video.Width, document.Video.Height = int(width), int(height)
	for _, tag := range reader.list(root.Get("tags")) {
		word := ""
		reader.text(&word, tag)
		document.Tags = append(document.Tags, word)
	}
	if reader.err != nil {
		return parse.Video{}, reader.err
	}
	return document.Picked()
}

// fastReader keeps the first error; null, and what is missing, leave a field as it is.
type fastReader struct{ err error }

func missing(value *fastjson.Value) bool { return value == nil || value.Type() == fastjson.TypeNull }

func (r *fastReader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *fastReader) object(value *fastjson.Value) *fastjson.Value {
	if !missing(value) && value.Type() != fastjson.TypeObject {
		r.keep(fmt.Errorf("%s: should be an object", value.Type()))
	}
	return value
}

func (r *fastReader) list(value *fastjson.Value) []*fastjson.Value {
	if missing(value) {
		return nil
	}
	values, err := value.Array()
	r.keep(err)
	return values
}

func (r *fastReader) text(field *string, value *fastjson.Value) {
	if missing(value) {
		return
	}
	text, err := value.StringBytes()
	r.keep(err)
	*field = string(text)
}

func (r *fastReader) whole(field *int64, value *fastjson.Value) {
	if missing(value) {
		return
	}
	number, err := value.Int64()
	r.keep(err)
	*field = number
}
