//go:build !goexperiment.jsonv2 && !go1.27

package bench

func v2() []way { return nil }
