package api

import (
	"example.com/videometa/internal/parse"
	"example.com/videometa/internal/pool"
)

// buffers hold answers. One that a large request has blown up isn't kept. What a picker gives is part of the document, so
// it is copied into the answer before the next document, or the picker's next use.
var (
	pickers = pool.New(func() *parse.Picker { return new(parse.Picker) })
	buffers = pool.New(func() *[]byte { empty := make([]byte, 0, 4096); return &empty })
)

const mostKept = 64 << 10
