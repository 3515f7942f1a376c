package parse

import (
	"encoding/json"
	"errors"
	"fmt"
)

// document has the picked fields alone: decoding all of a document would flatter [Pick].
type document struct {
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

// Standard is [Pick] by encoding/json.
func Standard(raw []byte) (Video, error) {
	var read document
	if err := json.Unmarshal(raw, &read); err != nil {
		return Video{}, explained(err)
	}
	return checked(Video{
		ID:          read.ID,
		Title:       read.Title,
		Author:      read.Author.Name,
		DurationMS:  read.DurationMS,
		Width:       read.Video.Width,
		Height:      read.Video.Height,
		Codec:       read.Video.Codec,
		Tags:        read.Tags,
		PublishedAt: read.PublishedAt,
	})
}

// explained gives encoding/json's errors the words of this package.
func explained(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return wrong(kind.Field, "a "+kind.Type.String())
	}
	return fmt.Errorf("%w: %w", ErrNotJSON, err)
}
