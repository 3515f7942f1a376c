package api

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
)

// parse answers what the documents of a batch say, in their order and with all fields.
func (a *API) parse(w http.ResponseWriter, r *http.Request) {
	raw, body := bodies.get(), buffers.get()
	defer func() {
		if raw.Cap() <= mostKept && cap(*body) <= mostKept {
			bodies.put(raw)
			buffers.put(body)
		}
	}()
	raw.Reset()
	err := a.read(w, r, raw)
	if err == nil {
		*body, err = a.pickAll((*body)[:0], raw.Bytes())
	}
	var told failure
	switch {
	case err == nil:
		w.Header().Set("Cache-Control", "no-store")
		reply(w, r, http.StatusOK, *body)
	case errors.As(err, &told):
		refuse(w, r, told.status, told.reason)
	default:
		refuse(w, r, http.StatusBadRequest, err.Error())
	}
}

func (a *API) pickAll(body, raw []byte) ([]byte, error) {
	documents, err := split(raw, a.limits.Batch)
	if err != nil {
		return body, err
	}
	body = append(body, '[')
	picker := pickers.get()
	defer pickers.put(picker)
	for i, document := range documents {
		video, err := picker.Pick(document)
		if err != nil {
			return body, fmt.Errorf("document %d: %w", i, err)
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = fieldSets[0].append(body, video)
	}
	return append(body, "]\n"...), nil
}

// errNotAList says what a batch should be.
var errNotAList = errors.New("the body should be a JSON list of documents")

func tooMany(most int) error {
	return failure{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body should have at most %d documents", most)}
}

func trimmed(raw []byte) []byte { return bytes.Trim(raw, " \t\r\n") }
