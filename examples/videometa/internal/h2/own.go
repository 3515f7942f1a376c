//go:build !nethttpomithttp2

// Package h2 chooses who serves HTTP/2.
package h2

import "net/http"

// Configure leaves HTTP/2 to net/http, which has an implementation of its own.
func Configure(*http.Server) error { return nil }
