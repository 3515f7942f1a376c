//go:build !baseline

package api

import "bytes"

// split cuts a list at the commas between its documents.
//
// It looks no closer than it has to: if every piece is JSON, and the caller sees to that, so was the list.
func split(raw []byte, most int) ([][]byte, error) {
	raw = trimmed(raw)
	if len(raw) < 2 || raw[0] != '[' || raw[len(raw)-1] != ']' {
		return nil, errNotAList
	}
	raw = trimmed(raw[1 : len(raw)-1])
	if len(raw) == 0 {
		return nil, nil
	}
	var pieces [][]byte
	for start, depth, at := 0, 0, 0; ; at++ {
		if at == len(raw) || raw[at] == ',' && depth == 0 {
			if len(pieces) == most {
				return nil, tooMany(most)
			}
			pieces = append(pieces, raw[start:at])
			if start = at + 1; at == len(raw) {
				return pieces, nil
			}
			continue
		}
		switch raw[at] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			length := stringLength(raw[at:])
			if length == 0 {
				return nil, errNotAList
			}
			at += length - 1
		}
	}
}

// stringLength is the length of the string that raw starts with, quotes and all; 0 says that it doesn't end.
func stringLength(raw []byte) int {
	for at := 1; ; {
		quote := bytes.IndexByte(raw[at:], '"')
		if quote < 0 {
			return 0
		}
		at += quote + 1
		slashes := 0
		for raw[at-2-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return at
		}
	}
}
