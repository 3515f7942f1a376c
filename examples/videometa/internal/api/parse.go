package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"example.com/videometa/internal/batch"
	"example.com/videometa/internal/budget"
	"example.com/videometa/internal/parse"
)

// parse answers what the documents of a batch say, in their order and with all fields. One of them is held at a time.
func (a *API) parse(w http.ResponseWriter, r *http.Request) {
	hold := a.bodies.Hold()
	defer hold.Release()
	body := buffers.Get()
	defer func() {
		if cap(*body) <= mostKept {
			buffers.Put(body)
		}
	}()
	err := a.pickAll(w, r, body, hold)
	var refused batch.Refusal
	switch {
	case err == nil:
		w.Header().Set("Cache-Control", "no-store")
		reply(w, r, http.StatusOK, *body)
	case errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable:
		busy(w, r, 0, refused.Reason)
	case errors.As(err, &refused):
		refuse(w, r, refused.Status, refused.Reason)
	default:
		refuse(w, r, http.StatusBadRequest, err.Error())
	}
}

func (a *API) pickAll(w http.ResponseWriter, r *http.Request, body *[]byte, hold *budget.Hold) error {
	if !hold.Enter(int64(cap(*body))) {
		return batch.ErrFull
	}
	documents, err := a.batches.Open(w, r, hold)
	if err != nil {
		return err
	}
	defer documents.Release()
	*body = append((*body)[:0], '[')
	picker := pickers.Get()
	defer pickers.Put(picker)
	for i := 0; ; i++ {
		document, err := documents.Next()
		if err == io.EOF {
			*body = append(*body, "]\n"...)
			return nil
		}
		if err == nil && r.Context().Err() != nil {
			err = batch.ErrLate
		}
		if err != nil {
			return err
		}
		video, err := picker.Pick(document)
		if err != nil {
			return fmt.Errorf("document %d: %w", i, err)
		}
		if int64(len(*body)+longestForm(video)) > a.limits.Plain {
			return batch.Refusal{
				Status: http.StatusRequestEntityTooLarge,
				Reason: fmt.Sprintf("the answer should be at most %d bytes", a.limits.Plain),
			}
		}
		if err := grow(body, longestForm(video), hold); err != nil {
			return err
		}
		if i > 0 {
			*body = append(*body, ',')
		}
		*body = fieldSets[0].append(*body, video)
	}
}

// longestForm is how long a video's answer may be at most.
func longestForm(video *parse.Video) int {
	length := 256
	for _, text := range [...]string{video.ID, video.Title, video.Author, video.Codec, video.PublishedAt} {
		length += longest(text)
	}
	for _, tag := range video.Tags {
		length += longest(tag) + len(`"",`)
	}
	return length
}

// longest is how long a string may become: an escape makes six bytes of one.
func longest(text string) int {
	length := len(text)
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			length += 5
		}
	}
	return length
}

// grow makes room for more of an answer.
func grow(body *[]byte, more int, hold *budget.Hold) error {
	before := cap(*body)
	if len(*body)+more <= before {
		return nil
	}
	after := max(len(*body)+more, before+before/2)
	if !hold.Grow(int64(after)) {
		return batch.ErrFull
	}
	larger := make([]byte, len(*body), after)
	copy(larger, *body)
	*body = larger
	hold.Shrink(int64(before))
	return nil
}
