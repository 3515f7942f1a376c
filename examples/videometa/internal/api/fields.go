package api

import (
	"net/http"

	"example.com/videometa/internal/parse"
)

// member is a set of a video's members.
type member uint16

const (
	id member = 1 << iota
	title
	author
	duration
	size
	codec
	tags
	published
)

const all = id | title | author | duration | size | codec | tags | published

// fieldSet is one form of an answer. The members that a form has are the same in all of them: schema 1.
type fieldSet struct {
	name    string
	members member
	budget  int      // bytes of an answer before compression: a video above it takes the next form, a feed ends early
	hints   []string // header and value that ask for it
}

// fieldSets is the one table of forms, the largest first; `?fields=` takes a name of it, or hints choose.
//
// Source: Client Hints infrastructure and Network Information (WICG), Save-Data and ECT.
var fieldSets = []fieldSet{
	{"full", all, 64 << 10, nil},
	{"lite", id | title | author | duration | published, 16 << 10, []string{"Save-Data: on", "ECT: 3g"}},
	{"minimal", id | title | duration, 4 << 10, []string{"ECT: 2g", "ECT: slow-2g"}},
}

// hinted are the headers of the table: what an answer varies by, and what browsers are asked to send.
const hinted = "Save-Data, ECT"

// fieldsOf chooses the form of an answer: the one that is named, otherwise the smallest that a hint asks for.
func fieldsOf(r *http.Request) (fieldSet, bool) {
	chosen := fieldSets[0]
	named := r.URL.Query().Get("fields")
	for _, set := range fieldSets {
		if set.name == named {
			return set, true
		}
		for _, hint := range set.hints {
			if asks(r.Header, hint) {
				chosen = set
			}
		}
	}
	return chosen, named == ""
}

// smaller is the next form; the smallest has none.
func (s fieldSet) smaller() (fieldSet, bool) {
	for i, set := range fieldSets[:len(fieldSets)-1] {
		if set.name == s.name {
			return fieldSets[i+1], true
		}
	}
	return s, false
}

// fit appends a video in this form, or in the largest smaller one that is within its budget.
func (s fieldSet) fit(to []byte, video *parse.Video) ([]byte, fieldSet) {
	for {
		body := s.append(to, video)
		next, is := s.smaller()
		if len(body)-len(to) <= s.budget || !is {
			return body, s
		}
		s = next
	}
}
