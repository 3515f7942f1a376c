package store

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// Writer writes the file of a [File]: whole under its name, or not at all.
type Writer struct {
	path  string
	file  *os.File
	out   *bufio.Writer
	at    uint64
	index []byte
	last  string
}

// Create starts a file; until Close it has another name beside path.
func Create(path string) (*Writer, error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	w := &Writer{path: path, file: file, out: bufio.NewWriterSize(file, 1<<20)}
	_, err = w.out.Write(make([]byte, headerSize))
	w.at = uint64(headerSize)
	return w, err
}

// Add appends a document, which has to be JSON; ids have to come in ascending order.
func (w *Writer) Add(id string, document []byte) error {
	switch {
	case id == "" || id <= w.last && len(w.index) > 0:
		return fmt.Errorf("store: id %q comes after %q, ids should ascend", id, w.last)
	case len(document) > math.MaxInt32 || len(id) > math.MaxInt16:
		return fmt.Errorf("store: document %q is too large", id)
	case !json.Valid(document):
		return fmt.Errorf("store: document %q is not JSON", id)
	}
	e := entry{offset: w.at, id: uint32(len(id)), size: uint32(len(document)), sum: sumOf(document)}
	w.at, w.index, w.last = e.end(), e.append(w.index), id
	if _, err := w.out.WriteString(id); err != nil {
		return err
	}
	_, err := w.out.Write(document)
	return err
}

// Close writes the index and the header, and gives the file its name.
func (w *Writer) Close() error {
	if err := w.finish(); err != nil {
		return errors.Join(err, w.Abandon())
	}
	return nil
}

// Abandon deletes what was written.
func (w *Writer) Abandon() error {
	_ = w.file.Close()
	return os.Remove(w.file.Name())
}

func (w *Writer) finish() error {
	if _, err := w.out.Write(w.index); err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil {
		return err
	}
	if _, err := w.file.WriteAt(header(len(w.index)/entrySize, int64(w.at)), 0); err != nil {
		return err
	}
	if err := w.file.Chmod(0o644); err != nil { // the service runs as another user than the one who wrote it
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return err
	}
	return os.Rename(w.file.Name(), w.path)
}
