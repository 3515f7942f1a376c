package api

import (
	"net/http"
	"strings"
)

// asks tells whether a request has a hint such as "ECT: 2g".
func asks(header http.Header, hint string) bool {
	name, value, _ := strings.Cut(hint, ": ")
	return strings.EqualFold(strings.TrimSpace(header.Get(name)), value)
}

// matches tells whether If-None-Match names the tag; weakly, as RFC 9110, section 13.1.2 asks.
func matches(list, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// takesGzip tells whether Accept-Encoding has gzip, or anything, and doesn't forbid it by q=0.
func takesGzip(list string) bool {
	for one := range strings.SplitSeq(list, ",") {
		coding, weight, _ := strings.Cut(one, ";")
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip", "*":
			return strings.Trim(strings.TrimPrefix(strings.ReplaceAll(weight, " ", ""), "q="), "0.") != "" || weight == ""
		}
	}
	return false
}
