package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/videometa/internal/budget"
	"example.com/videometa/internal/limits"
	"example.com/videometa/internal/parse"
	"example.com/videometa/internal/store"
)

const raw = `{"id":%q,"title":"Rain","author":{"name":"Mei"},"duration_ms":5000,` +
	`"video":{"width":720,"height":1280,"codec":"av1"},"tags":["a","b"],"published_at":"2026-01-02T03:04:05Z"}`

// videos are 150 of which number 7 has a title that no smaller form could have either.
func videos() store.Memory {
	all := store.Memory{}
	for i := 1; i <= 150; i++ {
		id := fmt.Sprintf("v%06d", i)
		all[id] = fmt.Appendf(nil, raw, id)
	}
	all["v000007"] = bytes.Replace(all["v000007"], []byte("Rain"), bytes.Repeat([]byte("long "), 20_000), 1)
	return all
}

// known is a peer that has one video, and of another can't say.
type known struct{}

func (known) Find(_ context.Context, id string) (parse.Video, bool, error) {
	if id == "v900002" {
		return parse.Video{}, false, Unanswered{1500 * time.Millisecond}
	}
	return parse.Video{ID: id, Title: "from afar", Tags: []string{}}, id == "v900000", nil
}

func small() limits.Table {
	table := limits.Default()
	table.Body, table.Plain, table.Batch, table.Document = 2000, 4000, 3, 1800
	return table
}

func ask(t *testing.T, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	New(videos(), known{}, small(), budget.New(1<<20)).Register(mux)
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	recorder := httptest.NewRecorder()
	mux.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusNotModified && !json.Valid(plain(t, recorder)) {
		t.Errorf("%s %s: not JSON: %s", method, path, recorder.Body)
	}
	return recorder
}

func plain(t *testing.T, r *httptest.ResponseRecorder) []byte {
	t.Helper()
	if r.Header().Get("Content-Encoding") != "gzip" {
		return r.Body.Bytes()
	}
	reader, err := gzip.NewReader(bytes.NewReader(r.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestAVideoHasItsFields(t *testing.T) {
	got := ask(t, "GET", "/v1/videos/v000001", "")
	want := `{"id":"v000001","title":"Rain","author":"Mei","duration_ms":5000,"width":720,"height":1280,"codec":"av1",` +
		`"tags":["a","b"],"published_at":"2026-01-02T03:04:05Z"}` + "\n"
	if got.Code != 200 || got.Body.String() != want {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-Schema": "1", "X-Fields": "full",
		"Vary": "Accept-Encoding, Save-Data, ECT", "Content-Length": fmt.Sprint(len(want)),
	} {
		if got.Header().Get(name) != value {
			t.Errorf("%s: %s", name, got.Header().Get(name))
		}
	}
}

func TestTheFormIsNamedOrHinted(t *testing.T) {
	for _, c := range []struct{ query, header, want string }{
		{"", "", "full"}, {"", "Save-Data: on", "lite"}, {"", "Save-Data: off", "full"}, {"", "ECT: 4g", "full"},
		{"", "ECT: 3g", "lite"}, {"", "ECT: 2g", "minimal"}, {"", "ECT: slow-2g", "minimal"},
		{"?fields=full", "ECT: 2g", "full"}, {"?fields=lite", "", "lite"}, {"?fields=minimal", "Save-Data: on", "minimal"},
	} {
		for _, path := range []string{"/v1/videos/v000001", "/v1/feed"} {
			got := ask(t, "GET", path+c.query, "", c.header)
			if got.Code != 200 || got.Header().Get("X-Fields") != c.want {
				t.Errorf("%s%s %s: got %d %s", path, c.query, c.header, got.Code, got.Header().Get("X-Fields"))
			}
		}
	}
	if got := ask(t, "GET", "/v1/videos/v000001?fields=some", ""); got.Code != 400 {
		t.Errorf("an unknown form: %d", got.Code)
	}
}

func TestAVideoAboveItsBudgetTakesASmallerForm(t *testing.T) {
	if got := ask(t, "GET", "/v1/videos/v000007", ""); got.Header().Get("X-Fields") != "minimal" {
		t.Errorf("got %s", got.Header().Get("X-Fields"))
	}
}

func TestAnUnchangedVideoIsNotSentAgain(t *testing.T) {
	tag := ask(t, "GET", "/v1/videos/v000001", "").Header().Get("ETag")
	for _, list := range []string{tag, strings.TrimPrefix(tag, "W/"), `"other", ` + tag, "*"} {
		if got := ask(t, "GET", "/v1/videos/v000001", "", "If-None-Match: "+list); got.Code != 304 || got.Body.Len() != 0 {
			t.Errorf("%s: %d", list, got.Code)
		}
	}
	for _, path := range []string{"/v1/videos/v000001?fields=lite", "/v1/videos/v000002"} {
		if got := ask(t, "GET", path, "", "If-None-Match: "+tag); got.Code != 200 {
			t.Errorf("%s has another answer: %d", path, got.Code)
		}
	}
}

func TestOthersAreAskedForWhatIsMissing(t *testing.T) {
	if got := ask(t, "GET", "/v1/videos/v900000", ""); got.Code != 200 || !strings.Contains(got.Body.String(), "from afar") {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
	if got := ask(t, "GET", "/v1/videos/v900001", ""); got.Code != 404 {
		t.Errorf("nobody has it: %d", got.Code)
	}
	if got := ask(t, "GET", "/v1/videos/v900002", ""); got.Code != 503 || got.Header().Get("Retry-After") != "2" {
		t.Errorf("unknown is not absent: %d, after %q", got.Code, got.Header().Get("Retry-After"))
	}
	if got := ask(t, "GET", "/v1/videos/v900000", "", FromPeer+": 1"); got.Code != 404 {
		t.Errorf("a peer's question went on: %d", got.Code)
	}
}

type page struct {
	Videos []parse.Video
	Next   string
}

func read(t *testing.T, r *httptest.ResponseRecorder) page {
	t.Helper()
	var p page
	if err := json.Unmarshal(plain(t, r), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAFeedIsReadToItsEnd(t *testing.T) {
	seen, cursor := 0, ""
	for range 20 {
		p := read(t, ask(t, "GET", "/v1/feed?limit=40&cursor="+cursor, ""))
		for _, video := range p.Videos {
			if seen++; video.ID != fmt.Sprintf("v%06d", seen) {
				t.Fatalf("number %d is %s", seen, video.ID)
			}
		}
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if seen != 150 {
		t.Errorf("%d videos", seen)
	}
}

func TestAFeedKeepsToItsBudget(t *testing.T) {
	for _, fields := range []string{"full", "lite", "minimal"} {
		set, _ := fieldsOf(httptest.NewRequest("GET", "/?fields="+fields, nil))
		got := ask(t, "GET", "/v1/feed?limit=100&cursor=djAwMDAwNw&fields="+fields, "")
		if got.Body.Len() > set.budget+100 {
			t.Errorf("%s: %d bytes", fields, got.Body.Len())
		}
		if p := read(t, got); len(p.Videos) < 10 || p.Next == "" {
			t.Errorf("%s: %d videos, next %q", fields, len(p.Videos), p.Next)
		}
	}
}

func TestAFeedRefusesWhatItDidNotGive(t *testing.T) {
	for _, query := range []string{"limit=0", "limit=101", "limit=x", "cursor=%21", "fields=some"} {
		if got := ask(t, "GET", "/v1/feed?"+query, ""); got.Code != 400 {
			t.Errorf("%s: %d", query, got.Code)
		}
	}
}

func TestAnswersAreCompressedWhereThatHelps(t *testing.T) {
	long := ask(t, "GET", "/v1/feed?cursor=djAwMDAwNw", "", "Accept-Encoding: br, gzip;q=0.5")
	if long.Header().Get("Content-Encoding") != "gzip" || len(read(t, long).Videos) != 20 {
		t.Errorf("a feed: %v", long.Header())
	}
	for _, c := range []struct{ path, accept string }{
		{"/v1/feed?cursor=djAwMDAwNw", ""}, {"/v1/feed?cursor=djAwMDAwNw", "br"}, {"/v1/feed?cursor=djAwMDAwNw", "gzip;q=0"},
		{"/v1/feed?cursor=djAwMDAwNw", "gzip; q=0.00"}, {"/v1/videos/v000001", "gzip"},
	} {
		if got := ask(t, "GET", c.path, "", "Accept-Encoding: "+c.accept); got.Header().Get("Content-Encoding") != "" {
			t.Errorf("%v was compressed", c)
		}
	}
}

func TestABatchIsParsed(t *testing.T) {
	one := fmt.Sprintf(raw, `a"],[`)
	got := ask(t, "POST", "/v1/videos:parse", " [ "+one+" ,\n"+one+"] ")
	var picked []parse.Video
	if err := json.Unmarshal(got.Body.Bytes(), &picked); err != nil || got.Code != 200 {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	if len(picked) != 2 || picked[1].ID != `a"],[` || picked[1].Author != "Mei" || picked[1].Codec != "av1" {
		t.Errorf("got %+v", picked)
	}
	if got := ask(t, "POST", "/v1/videos:parse", "[]"); got.Body.String() != "[]\n" {
		t.Errorf("nothing became %s", got.Body)
	}
}

func TestABatchMayComeCompressed(t *testing.T) {
	got := ask(t, "POST", "/v1/videos:parse", zipped(`[{"id":"a"}]`), "Content-Encoding: gzip")
	if got.Code != 200 || !strings.Contains(got.Body.String(), `"id":"a"`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

func TestABatchIsRefused(t *testing.T) {
	long := strings.Repeat(" ", 5000)
	for name, c := range map[string]struct {
		body, coding string
		want         int
	}{
		"no JSON":            {"x", "", 400},
		"nothing":            {"", "", 400},
		"an object":          {"{}", "", 400},
		"null":               {"null", "", 400},
		"half a list":        {`[{"id":"a"}`, "", 400},
		"half a string":      {`[{"id":"a]`, "", 400},
		"a document too few": {`[{"id":"a"},]`, "", 400},
		"a number":           {`[1]`, "", 400},
		"no id":              {`[{}]`, "", 400},
		"something behind":   {`[{"id":"a"}]]`, "", 400},
		"two lists":          {`[{"id":"a"}][{"id":"b"}]`, "", 400},
		"a wrong bracket":    {`[{"id":"a","x":[1}]`, "", 400},
		"too deep":           {"[" + strings.Repeat("[", 1500) + "]", "", 400},
		"too large":          {"[" + long + "]", "", 413},
		"too large unpacked": {zipped("[" + long + "]"), "gzip", 413},
		"a long document":    {`[{"id":"` + long[:1900] + `"}]`, "", 413},
		"too many":           {`[{"id":"a"},{"id":"a"},{"id":"a"},{"id":"a"}]`, "", 413},
		"not gzip":           {"[]", "gzip", 400},
		"half of gzip":       {zipped("[]")[:15], "gzip", 400},
		"another coding":     {"[]", "br", 415},
	} {
		if got := ask(t, "POST", "/v1/videos:parse", c.body, "Content-Encoding: "+c.coding); got.Code != c.want {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
	}
}

func zipped(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return out.String()
}

// Whatever the text, we write it as encoding/json does.
func FuzzEncode(f *testing.F) {
	f.Add("plain", int64(1))
	f.Add("\x00\b\f\n\r\t\"\\\x7f é 語 😀 \u2028\u2029 \xff\xc3(", int64(-1))
	f.Fuzz(func(t *testing.T, text string, number int64) {
		video := parse.Video{ID: text, Title: text, Author: text, DurationMS: number, Width: int(number), Codec: text, Tags: []string{text, text}, PublishedAt: text}
		for _, set := range fieldSets {
			if got, want := set.append(nil, &video), set.standard(nil, &video); !bytes.Equal(got, want) {
				t.Errorf("%s: got %s, want %s", set.name, got, want)
			}
		}
	})
}

func BenchmarkVideo(b *testing.B) {
	mux := http.NewServeMux()
	New(videos(), nil, small(), budget.New(1<<20)).Register(mux)
	request := httptest.NewRequest("GET", "/v1/videos/v000001", nil)
	b.ReportAllocs()
	for b.Loop() {
		mux.ServeHTTP(httptest.NewRecorder(), request)
	}
}

func BenchmarkSpaces(b *testing.B) {
	mux := http.NewServeMux()
	New(videos(), nil, limits.Default(), budget.New(64<<20)).Register(mux)
	body := zipped("[" + strings.Repeat(" ", 15<<20) + `{"id":"a"}]`)
	b.ReportAllocs()
	for b.Loop() {
		request := httptest.NewRequest("POST", "/v1/videos:parse", strings.NewReader(body))
		request.Header.Set("Content-Encoding", "gzip")
		recorder := httptest.NewRecorder()
		mux.ServeHTTP(recorder, request)
		if recorder.Code != 200 {
			b.Fatal(recorder.Body)
		}
	}
}
