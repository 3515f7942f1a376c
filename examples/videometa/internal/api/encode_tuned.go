//go:build !baseline

package api

import (
	"strconv"
	"unicode/utf8"

	"example.com/videometa/internal/parse"
)

// append writes a video as encoding/json would, without reflection and into a buffer that is there.
func (s fieldSet) append(to []byte, v *parse.Video) []byte {
	to = append(to, `{"id":`...)
	to = appendText(to, v.ID)
	to = append(to, `,"title":`...)
	to = appendText(to, v.Title)
	if s.has(author) {
		to = append(to, `,"author":`...)
		to = appendText(to, v.Author)
	}
	to = append(to, `,"duration_ms":`...)
	to = strconv.AppendInt(to, v.DurationMS, 10)
	if s.has(size) {
		to = append(to, `,"width":`...)
		to = strconv.AppendInt(to, int64(v.Width), 10)
		to = append(to, `,"height":`...)
		to = strconv.AppendInt(to, int64(v.Height), 10)
	}
	if s.has(codec) {
		to = append(to, `,"codec":`...)
		to = appendText(to, v.Codec)
	}
	if s.has(tags) {
		to = append(to, `,"tags":`...)
		to = appendList(to, v.Tags)
	}
	if s.has(published) {
		to = append(to, `,"published_at":`...)
		to = appendText(to, v.PublishedAt)
	}
	return append(to, '}')
}

func (s fieldSet) has(m member) bool { return s.members&m != 0 }

func appendList(to []byte, words []string) []byte {
	to = append(to, '[')
	for i, word := range words {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendText(to, word)
	}
	return append(to, ']')
}

// appendText writes a string; what isn't UTF-8 becomes U+FFFD, as in encoding/json.
func appendText(to []byte, text string) []byte {
	to = append(to, '"')
	start := 0
	for i := 0; i < len(text); {
		if c := text[i]; c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		char, width := utf8.DecodeRuneInString(text[i:])
		if char == utf8.RuneError && width == 1 || char < ' ' || char == '"' || char == '\\' || char == '\u2028' || char == '\u2029' {
			to = appendEscape(append(to, text[start:i]...), char)
			start = i + width
		}
		i += width
	}
	return append(append(to, text[start:]...), '"')
}

func appendEscape(to []byte, char rune) []byte {
	switch char {
	case '"', '\\':
		return append(to, '\\', byte(char))
	case '\b':
		return append(to, '\\', 'b')
	case '\f':
		return append(to, '\\', 'f')
	case '\n':
		return append(to, '\\', 'n')
	case '\r':
		return append(to, '\\', 'r')
	case '\t':
		return append(to, '\\', 't')
	}
	const digits = "0123456789abcdef"
	return append(to, '\\', 'u', digits[char>>12&15], digits[char>>8&15], digits[char>>4&15], digits[char&15])
}
