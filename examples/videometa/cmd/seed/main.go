// Seed writes a store of invented videos, the same for the same count and seed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"

	"example.com/videometa/internal/parse/rawdoc"
	"example.com/videometa/internal/store"
)

func main() {
	count := flag.Int("count", 1000, "how many videos")
	seed := flag.Uint64("seed", 1, "what they are made from: the same seed gives the same videos")
	size := flag.Int("size", 4000, "bytes of a typical document")
	out := flag.String("out", "videos.store", "the file to write; one that is there is replaced")
	flag.Parse()
	if err := write(*out, *count, *seed, *size); err != nil {
		fmt.Fprintln(os.Stderr, "seed:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "%s: %d videos\n", *out, *count)
}

// mostVideos is how many ids of six digits there are.
const mostVideos = 999_999

func write(path string, count int, seed uint64, size int) error {
	if count < 0 || count > mostVideos {
		return fmt.Errorf("-count %d: should be 0 to %d", count, mostVideos)
	}
	w, err := store.Create(path)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(seed, 0))
	for i := 1; i <= count; i++ {
		id := fmt.Sprintf("v%06d", i)
		// Half to one and a half times the typical size: no two documents shall be alike to a cache.
		if err := w.Add(id, rawdoc.Make(random, id, size/2+random.IntN(size+1))); err != nil {
			return errors.Join(err, w.Abandon())
		}
	}
	return w.Close()
}
