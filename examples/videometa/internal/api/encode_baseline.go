//go:build baseline

package api

import "example.com/videometa/internal/parse"

func (s fieldSet) append(to []byte, v *parse.Video) []byte { return s.standard(to, v) }
