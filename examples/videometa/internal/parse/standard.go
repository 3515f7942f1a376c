package parse

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Document is a raw document as a struct: the picked fields alone, since decoding all of it would flatter [Pick].
type Document struct {
	ID         string `json:"id"`
	Title      string `json:"title"`
	DurationMS int64  `json:"duration_ms"`
	Author     struct {
		Name string `json:"name"`
	} `json:"author"`
	Video struct {
		Width  int    `json:"width"`
		Height int    `json:"height"`
		Codec  string `json:"codec"`
	} `json:"video"`
	Tags        []string `json:"tags"`
	PublishedAt string   `json:"published_at"`
}

// Picked turns a decoded document into what [Pick] gives.
func (d *Document) Picked() (Video, error) {
	return checked(Video{
		ID:          d.ID,
		Title:       d.Title,
		Author:      d.Author.Name,
		DurationMS:  d.DurationMS,
		Width:       d.Video.Width,
		Height:      d.Video.Height,
		Codec:       d.Video.Codec,
		Tags:        d.Tags,
		PublishedAt: d.PublishedAt,
	})
}

// Standard is [Pick] by encoding/json.
func Standard(raw []byte) (Video, error) {
	var document Document
	if err := json.Unmarshal(raw, &document); err != nil {
		return Video{}, explained(err)
	}
	return document.Picked()
}

// explained gives encoding/json's errors the words of this package.
func explained(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return wrong(kind.Field, "a "+kind.Type.String())
	}
	return fmt.Errorf("%w: %w", ErrNotJSON, err)
}
