//go:build !baseline

package parse

import "bytes"

// tooDeep tells whether a document nests deeper than [MaxDepth].
//
// gjson validates by recursion without a limit: megabytes of "[" would take more stack than Go allows, which ends the
// process and can't be recovered from. Few documents need more than the count of their brackets, which costs next to nothing.
func tooDeep(raw []byte) bool {
	if bytes.Count(raw, []byte("["))+bytes.Count(raw, []byte("{")) <= MaxDepth {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(raw) && depth <= MaxDepth; i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[', c == '{':
			depth++
		case c == ']', c == '}':
			depth--
		}
	}
	return depth > MaxDepth
}
