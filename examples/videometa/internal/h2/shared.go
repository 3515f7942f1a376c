//go:build nethttpomithttp2

// Package h2 chooses who serves HTTP/2.
package h2

import (
	"net/http"

	"golang.org/x/net/http2"
)

// Configure serves HTTP/2 by golang.org/x/net/http2, much of which grpc links anyway: with Go's own tag
// nethttpomithttp2, net/http has no copy of it, and the program one implementation in place of two.
func Configure(server *http.Server) error { return http2.ConfigureServer(server, nil) }
