//go:build baseline

package parse

// Pick reads a document by encoding/json.
func Pick(raw []byte) (Video, error) { return Standard(raw) }

// PickTrusted is [Pick]: encoding/json validates all it reads, trusted or not.
func PickTrusted(raw []byte) (Video, error) { return Standard(raw) }
