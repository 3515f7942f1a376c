package api

import (
	"bytes"
	"encoding/json"

	"example.com/videometa/internal/parse"
)

// lite and minimal are the smaller forms to encoding/json; the full one is parse.Video itself.
type lite struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Author      string `json:"author"`
	DurationMS  int64  `json:"duration_ms"`
	PublishedAt string `json:"published_at"`
}

type minimal struct {
	ID         string `json:"id"`
	Title      string `json:"title"`
	DurationMS int64  `json:"duration_ms"`
}

// standard is append by encoding/json: the baseline's way, and what the tuned build's is tested against.
func (s fieldSet) standard(to []byte, v *parse.Video) []byte {
	var form any = v
	switch s.name {
	case "lite":
		form = lite{v.ID, v.Title, v.Author, v.DurationMS, v.PublishedAt}
	case "minimal":
		form = minimal{v.ID, v.Title, v.DurationMS}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(form); err != nil {
		panic(err) // there is nothing in these structs that can't be encoded
	}
	return append(to, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...)
}
