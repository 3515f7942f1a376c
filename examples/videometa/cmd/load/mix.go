package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"example.com/videometa/internal/parse/rawdoc"
)

// mix is how many of a hundred requests are of each kind.
type mix map[string]int

// kinds are all there are, in the order in which a hundred requests are dealt out.
var kinds = []string{"get", "feed", "parse4", "parse40"}

func usualMix() mix { return mix{"get": 70, "feed": 10, "parse4": 15, "parse40": 5} }

func (m mix) String() string {
	var parts []string
	for _, kind := range kinds {
		if m[kind] > 0 {
			parts = append(parts, kind+"="+strconv.Itoa(m[kind]))
		}
	}
	return strings.Join(parts, ",")
}

func (m *mix) Set(text string) error {
	*m = mix{}
	sum := 0
	for part := range strings.SplitSeq(text, ",") {
		kind, share, _ := strings.Cut(part, "=")
		number, err := strconv.Atoi(share)
		if err != nil || number < 0 || !known(kind) {
			return fmt.Errorf("%q: should be one of %s, =, and a number", part, strings.Join(kinds, ", "))
		}
		(*m)[kind] += number
		sum += number
	}
	if sum != 100 {
		return fmt.Errorf("the shares sum to %d, and should to 100", sum)
	}
	return nil
}

func known(kind string) bool {
	for _, one := range kinds {
		if one == kind {
			return true
		}
	}
	return false
}

// shot is a request that can be sent again and again.
type shot struct {
	kind, method, path string
	body               []byte
}

const (
	differentShots = 2000
	seededVideos   = 1000 // what `seed` writes unless told otherwise
)

// shots deals a mix out, the same for the same mix: every hundred of them have its shares.
func shots(m mix) []shot {
	random := rand.New(rand.NewPCG(7, 11))
	var dealt []shot
	for len(dealt) < differentShots {
		var hundred []shot
		for _, kind := range kinds {
			for range m[kind] {
				hundred = append(hundred, newShot(random, kind))
			}
		}
		random.Shuffle(len(hundred), func(i, j int) { hundred[i], hundred[j] = hundred[j], hundred[i] })
		dealt = append(dealt, hundred...)
	}
	return dealt
}

func newShot(random *rand.Rand, kind string) shot {
	id := fmt.Sprintf("v%06d", 1+random.IntN(seededVideos))
	switch kind {
	case "feed":
		return shot{kind, http.MethodGet, "/v1/feed?limit=20", nil}
	case "parse4":
		return shot{kind, http.MethodPost, "/v1/videos:parse", batch(rawdoc.Make(random, id, 4_000))}
	case "parse40":
		return shot{kind, http.MethodPost, "/v1/videos:parse", batch(rawdoc.Make(random, id, 40_000))}
	}
	return shot{kind, http.MethodGet, "/v1/videos/" + id, nil}
}

func batch(document []byte) []byte {
	return bytes.Join([][]byte{[]byte("["), document, []byte("]")}, nil)
}
