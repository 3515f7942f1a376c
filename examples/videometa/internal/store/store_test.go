package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// documents are what every store of these tests has.
func documents() Memory {
	all := Memory{}
	for i := range 100 {
		all[fmt.Sprintf("v%03d", 2*i)] = fmt.Appendf(nil, `{"id":"v%03d"}`, 2*i)
	}
	return all
}

func written(t *testing.T, all Memory) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "videos")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for record := range all.After("") {
		if err := w.Add(record.ID, record.Document); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func opened(t *testing.T, all Memory) *File {
	t.Helper()
	file, err := Open(written(t, all))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func idsAfter(s Store, id string, limit int) []string {
	var ids []string
	for record := range s.After(id) {
		if ids = append(ids, record.ID); len(ids) == limit {
			break
		}
	}
	return ids
}

func TestEveryStoreKeepsThePromises(t *testing.T) {
	for name, s := range map[string]Store{"memory": documents(), "file": opened(t, documents())} {
		t.Run(name, func(t *testing.T) {
			if s.Len() != 100 {
				t.Errorf("it has %d", s.Len())
			}
			for id, document := range documents() {
				found, ok := s.Get(id)
				if !ok || found.ID != id || string(found.Document) != string(document) || found.Sum != sumOf(document) {
					t.Fatalf("%s: got %+v", id, found)
				}
			}
			for _, id := range []string{"", "a", "v001", "v199", "w"} {
				if _, ok := s.Get(id); ok {
					t.Errorf("%q was found", id)
				}
			}
			if got := idsAfter(s, "", 2); !slices.Equal(got, []string{"v000", "v002"}) {
				t.Errorf("from the start: %v", got)
			}
			if got := idsAfter(s, "v003", 2); !slices.Equal(got, []string{"v004", "v006"}) {
				t.Errorf("between two: %v", got)
			}
			if got := idsAfter(s, "v194", 9); !slices.Equal(got, []string{"v196", "v198"}) {
				t.Errorf("near the end: %v", got)
			}
			if got := idsAfter(s, "v198", 9); got != nil {
				t.Errorf("behind the end: %v", got)
			}
		})
	}
}

func TestAStoreMayBeEmpty(t *testing.T) {
	file := opened(t, Memory{})
	if _, ok := file.Get("v000"); ok || file.Len() != 0 || idsAfter(file, "", 1) != nil {
		t.Error("it has something")
	}
}

func TestWhatWouldBreakAStoreIsRefused(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "videos"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abandon()
	if err := w.Add("b", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", "a", "b"} {
		if w.Add(id, []byte("{}")) == nil {
			t.Errorf("id %q was taken after b", id)
		}
	}
	if w.Add("c", []byte("{")) == nil {
		t.Error("half a document was taken")
	}
}

func TestAWriterThatGivesUpLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	w, err := Create(filepath.Join(folder, "videos"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Abandon(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(folder); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestADamagedFileIsRefused(t *testing.T) {
	whole, err := os.ReadFile(written(t, documents()))
	if err != nil {
		t.Fatal(err)
	}
	start := int(binary.LittleEndian.Uint64(whole[len(magic)+8:]))
	for name, raw := range map[string][]byte{
		"empty":              {},
		"other":              []byte(strings.Repeat("other", 100)),
		"cut short":          whole[:len(whole)-1],
		"without the index":  whole[:start],
		"without the header": append(make([]byte, headerSize), whole[headerSize:]...),
		"an entry leads out": spoiled(whole, start+8, 0xff, 0xff, 0xff, 0xff),
		"an offset is huge":  spoiled(whole, start, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	} {
		path := filepath.Join(t.TempDir(), "videos")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if file, err := Open(path); err == nil {
			_ = file.Close()
			t.Errorf("%s: opened", name)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the file isn't named: %v", name, err)
		}
	}
}

func spoiled(raw []byte, at int, with ...byte) []byte {
	raw = slices.Clone(raw)
	copy(raw[at:], with)
	return raw
}

// Whatever the bytes, a file is refused or all of it can be read.
func FuzzOpen(f *testing.F) {
	f.Add([]byte(magic))
	f.Add(append(header(1, int64(headerSize)+3), append([]byte("a{}"), entry{uint64(headerSize), 1, 2, 0}.append(nil)...)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		index, err := indexOf(raw)
		if err != nil {
			return
		}
		file := &File{raw: raw, index: index}
		file.Get("a")
		for record := range file.After("") {
			_ = len(record.ID) + len(record.Document)
		}
	})
}

func BenchmarkGet(b *testing.B) {
	all := documents()
	path := filepath.Join(b.TempDir(), "videos")
	w, err := Create(path)
	if err != nil {
		b.Fatal(err)
	}
	for record := range all.After("") {
		_ = w.Add(record.ID, record.Document)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	file, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	b.ReportAllocs()
	for b.Loop() {
		file.Get("v100")
	}
}
