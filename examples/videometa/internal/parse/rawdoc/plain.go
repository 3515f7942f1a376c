package rawdoc

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Plain tells whether all JSON readers should see the same in a document: it is valid JSON in valid UTF-8, no object
// has a name twice, no name is one of the known names in another case, and no escape is half of a surrogate pair.
func Plain(raw []byte, known ...string) bool {
	if !json.Valid(raw) || !utf8.Valid(raw) || strings.ContainsRune(decoded(raw), utf8.RuneError) {
		return false
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	return plainValue(decoder, known)
}

// decoded is all text of a document with its escapes undone: where it has U+FFFD, half a pair may have been there.
func decoded(raw []byte) string {
	var text strings.Builder
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return text.String()
		}
		if word, ok := token.(string); ok {
			text.WriteString(word)
		}
	}
}

func plainValue(decoder *json.Decoder, known []string) bool {
	token, err := decoder.Token()
	if err != nil {
		return err == io.EOF
	}
	switch token {
	case json.Delim('{'):
		return plainObject(decoder, known)
	case json.Delim('['):
		for decoder.More() {
			if !plainValue(decoder, known) {
				return false
			}
		}
		_, err = decoder.Token()
	}
	return err == nil
}

func plainObject(decoder *json.Decoder, known []string) bool {
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		otherCase := func(word string) bool { return word != name && strings.EqualFold(word, name) }
		if err != nil || !ok || seen[name] || slices.ContainsFunc(known, otherCase) || !plainValue(decoder, known) {
			return false
		}
		seen[name] = true
	}
	_, err := decoder.Token()
	return err == nil
}
