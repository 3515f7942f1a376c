//go:build baseline

package api

import "encoding/json"

// split cuts a list by encoding/json.
func split(raw []byte, most int) ([][]byte, error) {
	var documents []json.RawMessage
	if err := json.Unmarshal(raw, &documents); err != nil || documents == nil { // null is no list
		return nil, errNotAList
	}
	if len(documents) > most {
		return nil, tooMany(most)
	}
	pieces := make([][]byte, len(documents))
	for i, document := range documents {
		pieces[i] = document
	}
	return pieces, nil
}
