// Package api answers what the service is asked: a video, a feed of them, and what a batch of raw documents says.
package api

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"example.com/videometa/internal/batch"
	"example.com/videometa/internal/budget"
	"example.com/videometa/internal/limits"
	"example.com/videometa/internal/parse"
	"example.com/videometa/internal/store"
)

// Peers are other instances, which may have a video that ours hasn't.
type Peers interface {
	// Find asks for a video; found is false where all said that they have it not, and err is an [Unanswered] where
	// one that may have it could not be asked.
	Find(ctx context.Context, id string) (video parse.Video, found bool, err error)
}

// Unanswered says that it is not known whether there is a video.
type Unanswered struct {
	After time.Duration // when it may be known; 0 where that can't be said
}

func (u Unanswered) Error() string { return "an instance that may have the video could not be asked" }

// FromPeer marks a request of another instance: it is answered from the store alone, or the question could go round.
const FromPeer = "X-Videometa-Peer"

// API has the handlers.
type API struct {
	store   store.Store
	peers   Peers // nil where there are none
	limits  limits.Table
	bodies  *budget.Budget
	batches *batch.Opener
}

// New answers from a store, and from peers where there are any; bodies of requests, and answers to them, share a budget.
func New(videos store.Store, peers Peers, table limits.Table, bodies *budget.Budget) *API {
	return &API{videos, peers, table, bodies, batch.NewOpener(table)}
}

// Register adds the routes.
func (a *API) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/videos/{id}", a.video)
	mux.HandleFunc("GET /v1/feed", a.feed)
	mux.HandleFunc("POST /v1/videos:parse", a.parse)
}

func (a *API) video(w http.ResponseWriter, r *http.Request) {
	fields, known := fieldsOf(r)
	if !known {
		refuse(w, r, http.StatusBadRequest, "fields: should be full, lite or minimal")
		return
	}
	record, found := a.store.Get(r.PathValue("id"))
	if !found {
		a.elsewhere(w, r, fields)
		return
	}
	tag := fmt.Sprintf(`W/"%016x-%s-%s"`, record.Sum, fields.name, schema) // weak: compressed or not, it is the same
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "public, max-age=60")
	if matches(r.Header.Get("If-None-Match"), tag) {
		w.Header().Set("Vary", "Accept-Encoding, "+hinted)
		w.WriteHeader(http.StatusNotModified)
		return
	}
	picker := pickers.Get()
	defer pickers.Put(picker)
	video, err := picker.PickTrusted(record.Document)
	if err != nil {
		refuse(w, r, http.StatusInternalServerError, "the stored document is not of a video: "+err.Error())
		return
	}
	send(w, r, fields, video)
}

// elsewhere asks the peers.
func (a *API) elsewhere(w http.ResponseWriter, r *http.Request, fields fieldSet) {
	if a.peers != nil && r.Header.Get(FromPeer) == "" {
		video, found, err := a.peers.Find(r.Context(), r.PathValue("id"))
		var unanswered Unanswered
		switch {
		case errors.As(err, &unanswered):
			busy(w, r, unanswered.After, unanswered.Error())
			return
		case found:
			w.Header().Set("Cache-Control", "public, max-age=60")
			send(w, r, fields, &video)
			return
		}
	}
	refuse(w, r, http.StatusNotFound, "there is no such video")
}

func send(w http.ResponseWriter, r *http.Request, fields fieldSet, video *parse.Video) {
	body := buffers.Get()
	defer buffers.Put(body)
	whole, form := fields.fit((*body)[:0], video)
	*body = append(whole, '\n')
	w.Header().Set("X-Fields", form.name)
	w.Header().Set("Accept-CH", hinted)
	reply(w, r, http.StatusOK, *body)
}

const (
	usualPage   = 20
	longestPage = 100
)

// feed answers a page: {"videos":[…],"next":"…"}, without next on the last one.
func (a *API) feed(w http.ResponseWriter, r *http.Request) {
	fields, known := fieldsOf(r)
	limit, limitErr := pageOf(r.URL.Query().Get("limit"))
	after, cursorErr := base64.RawURLEncoding.DecodeString(r.URL.Query().Get("cursor"))
	switch {
	case !known:
		refuse(w, r, http.StatusBadRequest, "fields: should be full, lite or minimal")
		return
	case limitErr != nil:
		refuse(w, r, http.StatusBadRequest, fmt.Sprintf("limit: should be 1 to %d", longestPage))
		return
	case cursorErr != nil:
		refuse(w, r, http.StatusBadRequest, "cursor: should be the next of an answer")
		return
	}
	body := buffers.Get()
	defer buffers.Put(body)
	var err error
	if *body, err = a.page((*body)[:0], fields, string(after), limit); err != nil {
		refuse(w, r, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("X-Fields", fields.name)
	w.Header().Set("Accept-CH", hinted)
	w.Header().Set("Cache-Control", "public, max-age=5")
	reply(w, r, http.StatusOK, *body)
}

func pageOf(text string) (int, error) {
	if text == "" {
		return usualPage, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > longestPage {
		return 0, fmt.Errorf("limit %q", text)
	}
	return limit, nil
}

// page appends videos until there are enough of them, or the next would break the budget; one it always has.
func (a *API) page(body []byte, fields fieldSet, after string, limit int) ([]byte, error) {
	body = append(body, `{"videos":[`...)
	sent, last := 0, ""
	picker := pickers.Get()
	defer pickers.Put(picker)
	for record := range a.store.After(after) {
		video, err := picker.PickTrusted(record.Document)
		if err != nil {
			return body, fmt.Errorf("the stored document %s is not of a video: %w", record.ID, err)
		}
		before := len(body)
		if sent > 0 {
			body = append(body, ',')
		}
		body, _ = fields.fit(body, video)
		if sent > 0 && (sent == limit || len(body) > fields.budget) {
			return appendNext(body[:before], last), nil
		}
		sent, last = sent+1, record.ID
	}
	return append(body, "]}\n"...), nil
}

func appendNext(body []byte, last string) []byte {
	body = append(body, `],"next":"`...)
	body = base64.RawURLEncoding.AppendEncode(body, []byte(last))
	return append(body, "\"}\n"...)
}
