//go:build !baseline

package parse_test

const baseline = false
