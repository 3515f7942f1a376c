package batch

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"testing/iotest"

	"example.com/videometa/internal/budget"
)

// Whatever the body, we take the lists that encoding/json takes, and cut them alike.
func FuzzSplit(f *testing.F) {
	f.Add([]byte(`[{"a":[1,"]\\\",["]}, 2 ,"x\\"]`))
	f.Add([]byte(`[[1}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var want []json.RawMessage
		valid := json.Unmarshal(body, &want) == nil && want != nil
		pieces, err := split(body)
		whole := err == nil
		for _, piece := range pieces {
			whole = whole && json.Valid(piece)
		}
		if whole != valid {
			t.Fatalf("taken: %t, valid: %t, pieces %q", whole, valid, pieces)
		}
		for i := range want {
			if valid && compact(t, pieces[i]) != compact(t, want[i]) {
				t.Errorf("piece %d is %s, should be %s", i, pieces[i], want[i])
			}
		}
	})
}

// split reads a list to its end, a few bytes at a time.
func split(body []byte) (pieces [][]byte, err error) {
	hold := budget.New(1 << 30).Hold()
	defer hold.Release()
	documents := newDocuments(io.NopCloser(iotest.OneByteReader(bytes.NewReader(body))), 1<<30, 1<<30, hold)
	defer documents.Release()
	for {
		piece, err := documents.Next()
		if err == io.EOF {
			return pieces, nil
		}
		if err != nil {
			return pieces, err
		}
		pieces = append(pieces, bytes.Clone(piece))
	}
}

func compact(t *testing.T, raw []byte) string {
	t.Helper()
	var text bytes.Buffer
	if err := json.Compact(&text, raw); err != nil {
		t.Fatal(err)
	}
	return text.String()
}
