//go:build !nethttpomithttp2

package serve

import "net/http"

// configureHTTP2 leaves HTTP/2 to net/http, which has an implementation of its own.
func configureHTTP2(*http.Server) error { return nil }
