//go:build goexperiment.jsonv2 || go1.27

package bench

import (
	"encoding/json/v2"

	"example.com/videometa/internal/parse"
)

// v2 is encoding/json/v2, where the toolchain has it.
func v2() []way {
	return []way{{"encoding-json-v2", func(raw []byte) error {
		var document parse.Document
		if err := json.Unmarshal(raw, &document); err != nil {
			return err
		}
		_, err := document.Picked()
		return err
	}}}
}
