package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"example.com/videometa/internal/parse"
	"example.com/videometa/internal/store"
)

func seeded(t *testing.T, count int, seed uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "videos")
	if err := write(path, count, seed, 4000); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestTheSameSeedGivesTheSameBytes(t *testing.T) {
	one, same, other := content(t, seeded(t, 50, 1)), content(t, seeded(t, 50, 1)), content(t, seeded(t, 50, 2))
	if !bytes.Equal(one, same) {
		t.Error("the same seed gave other bytes")
	}
	if bytes.Equal(one, other) {
		t.Error("another seed gave the same bytes")
	}
}

func TestEveryDocumentCanBePicked(t *testing.T) {
	file, err := store.Open(seeded(t, 50, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for record := range file.After("") {
		video, err := parse.Pick(record.Document)
		if err != nil || video.ID != record.ID || video.Title == "" || video.Author == "" || len(video.Tags) == 0 {
			t.Errorf("%s: %+v, %v", record.ID, video, err)
		}
	}
	if _, found := file.Get("v000050"); !found || file.Len() != 50 {
		t.Error("the last id should be v000050")
	}
}

func TestAnImpossibleCountIsRefused(t *testing.T) {
	if write(filepath.Join(t.TempDir(), "videos"), 1_000_000, 1, 4000) == nil {
		t.Error("a million ids of six digits")
	}
}
