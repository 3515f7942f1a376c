//go:build !goexperiment.jsonv2

package parse_test

var v2 map[string]pick
