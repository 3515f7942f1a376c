//go:build !baseline

package parse

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// kind is what a JSON value is.
type kind byte

const (
	isNull kind = iota
	isText
	isNumber
	isObject
	isList
	isOther
)

// value is a part of a document, as it stands there.
type value struct {
	kind kind
	raw  []byte // a text without its quotes
}

// walker goes through a document that is known to be JSON; on any other it stops somewhere, and doesn't panic. gjson's own
// ForEach allocates for each string with an escape that it passes: a walker undoes those that are asked for, into its buffer.
type walker struct {
	plain []byte // texts without their escapes
}

// text gives a string without its escapes, as a part of the document or of the walker's buffer.
func (w *walker) text(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return unsafe.String(unsafe.SliceData(raw), len(raw))
	}
	if cap(w.plain)-len(w.plain) < len(raw) {
		// What was given before stays where it is: the new buffer is for this text and those to come.
		w.plain = make([]byte, 0, max(len(raw), 2*cap(w.plain)))
	}
	start := len(w.plain)
	w.plain = unescaped(w.plain, raw)
	text := w.plain[start:]
	return unsafe.String(unsafe.SliceData(text), len(text))
}

// members calls each for the members of an object, and elements for those of a list, as long as it wants more.
func (w *walker) members(raw []byte, each func(name string, v value) bool) {
	at := space(raw, 1)
	for at < len(raw) && raw[at] == '"' {
		end := textEnd(raw, at)
		before := len(w.plain)
		name := w.text(inner(raw, at, end))
		named := len(w.plain)
		at = space(raw, space(raw, end)+1) // past the colon
		v, after := next(raw, at)
		if !each(name, v) {
			return
		}
		if before < named && named == len(w.plain) {
			w.plain = w.plain[:before] // a name has not to stay
		}
		at = space(raw, space(raw, after)+1) // past the comma
	}
}

func (w *walker) elements(raw []byte, each func(v value) bool) {
	at := space(raw, 1)
	for at < len(raw)-1 {
		v, after := next(raw, at)
		if after <= at || !each(v) {
			return
		}
		at = space(raw, space(raw, after)+1)
	}
}

// next gives the value at a place, and the place behind it.
func next(raw []byte, at int) (value, int) {
	if at >= len(raw) {
		return value{kind: isOther}, len(raw)
	}
	switch raw[at] {
	case '"':
		end := textEnd(raw, at)
		return value{isText, inner(raw, at, end)}, end
	case '{':
		end := nestEnd(raw, at)
		return value{isObject, raw[at:end]}, end
	case '[':
		end := nestEnd(raw, at)
		return value{isList, raw[at:end]}, end
	}
	end := at
	for end < len(raw) && raw[end] > ' ' && raw[end] != ',' && raw[end] != '}' && raw[end] != ']' {
		end++
	}
	switch c := raw[at]; {
	case c == 'n':
		return value{isNull, raw[at:end]}, end
	case c == '-' || '0' <= c && c <= '9':
		return value{isNumber, raw[at:end]}, end
	}
	return value{isOther, raw[at:end]}, end
}

func space(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\n' || raw[at] == '\r' || raw[at] == '\t') {
		at++
	}
	return at
}

// inner is a string without its quotes.
func inner(raw []byte, at, end int) []byte {
	if end-at < 2 {
		return nil
	}
	return raw[at+1 : end-1]
}

// textEnd is the place behind the string at a place.
func textEnd(raw []byte, at int) int {
	for i := at + 1; i < len(raw); i++ {
		quote := bytes.IndexByte(raw[i:], '"')
		if quote < 0 {
			return len(raw)
		}
		i += quote
		slashes := 0
		for i-1-slashes > at && raw[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
	return len(raw)
}

// nestEnd is the place behind the object or list at a place.
func nestEnd(raw []byte, at int) int {
	depth := 0
	for i := at; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			i = textEnd(raw, i) - 1
		}
	}
	return len(raw)
}

// unescaped appends a string without its escapes; half a surrogate pair becomes U+FFFD, as in encoding/json.
//
// Source: RFC 8259, section 7.
func unescaped(to, raw []byte) []byte {
	for {
		slash := bytes.IndexByte(raw, '\\')
		if slash < 0 || slash+1 >= len(raw) {
			return append(to, raw...)
		}
		to = append(to, raw[:slash]...)
		c := raw[slash+1]
		raw = raw[slash+2:]
		switch c {
		case 'b':
			to = append(to, '\b')
		case 'f':
			to = append(to, '\f')
		case 'n':
			to = append(to, '\n')
		case 'r':
			to = append(to, '\r')
		case 't':
			to = append(to, '\t')
		case 'u':
			first := hex(raw)
			raw = raw[min(4, len(raw)):]
			if utf16.IsSurrogate(first) {
				if len(raw) >= 6 && raw[0] == '\\' && raw[1] == 'u' {
					if both := utf16.DecodeRune(first, hex(raw[2:])); both != utf8.RuneError {
						to, raw = utf8.AppendRune(to, both), raw[6:]
						continue
					}
				}
				first = utf8.RuneError
			}
			to = utf8.AppendRune(to, first)
		default: // a quote, a slash or a backslash
			to = append(to, c)
		}
	}
}

// hex reads four digits.
func hex(raw []byte) rune {
	var char rune
	for _, c := range raw[:min(4, len(raw))] {
		switch {
		case '0' <= c && c <= '9':
			char = char<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			char = char<<4 | rune(c|0x20-'a'+10)
		}
	}
	return char
}
