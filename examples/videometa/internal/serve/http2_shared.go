//go:build nethttpomithttp2

package serve

import (
	"net/http"

	"golang.org/x/net/http2"
)

// configureHTTP2 serves HTTP/2 by golang.org/x/net/http2, much of which grpc links anyway: with Go's own tag
// nethttpomithttp2, net/http has no copy of it, and the program one implementation in place of two.
func configureHTTP2(server *http.Server) error { return http2.ConfigureServer(server, nil) }
