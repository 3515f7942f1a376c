//go:build goexperiment.jsonv2

package parse_test

import (
	jsonv2 "encoding/json/v2"

	"example.com/videometa/internal/parse"
)

var v2 = map[string]pick{"v2": func(raw []byte) (parse.Video, error) {
	var document parse.Document
	if err := jsonv2.Unmarshal(raw, &document); err != nil {
		return parse.Video{}, err
	}
	return document.Picked()
}}
