// Package parse picks the fields of a video that the service serves out of the raw metadata document of its upload.
//
// [Pick] validates by gjson and walks by itself in the tuned build; under the build tag baseline it is encoding/json, as
// [Standard] is in both.
package parse

import (
	"errors"
	"fmt"
)

// Video is what the service knows of a video.
type Video struct {
	ID          string   `json:"id"`
	Title       string   `json:"title"`
	Author      string   `json:"author"`
	DurationMS  int64    `json:"duration_ms"`
	Width       int      `json:"width"`
	Height      int      `json:"height"`
	Codec       string   `json:"codec"`
	Tags        []string `json:"tags"`
	PublishedAt string   `json:"published_at"`
}

// ErrNotJSON says that a document isn't JSON, or is nested deeper than [MaxDepth].
var ErrNotJSON = errors.New("document: not valid JSON")

// MaxDepth is how deep a document may nest: encoding/json's own limit, and what keeps gjson's recursion within a stack.
const MaxDepth = 10_000

// FieldError says which field of a document isn't what it should be.
type FieldError struct {
	Field string // such as "author.name"
	Want  string // such as "a string"
}

func (e *FieldError) Error() string { return fmt.Sprintf("document: %s should be %s", e.Field, e.Want) }

func wrong(field, want string) error { return &FieldError{Field: field, Want: want} }

// checked refuses what no document may leave out.
func checked(video Video) (Video, error) {
	if err := check(&video); err != nil {
		return Video{}, err
	}
	return video, nil
}

func check(video *Video) error {
	if video.ID == "" {
		return wrong("id", "a string that isn't empty")
	}
	if video.Tags == nil {
		video.Tags = []string{} // [] in an answer, not null.
	}
	return nil
}
