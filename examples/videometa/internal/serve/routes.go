package serve

import "net/http"

// public is what everybody may ask. Health passes no guard: it is asked most urgently when there is too much to do.
func (s *Service) public(api http.Handler) http.Handler {
	mux := http.NewServeMux()
	s.health.register(mux)
	mux.Handle("/", api)
	return s.leaving(mux)
}

// leaving tells clients, while the service drains, to connect anew for their next request: elsewhere. Closing connections
// that are idle would break those on which a request is already on its way.
func (s *Service) leaving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 3 && s.health.draining.Load() {
			w.Header().Set("Connection", "close") // HTTP/2's server makes a GOAWAY of it
		}
		next.ServeHTTP(w, r)
	})
}

// admin is for operators: it has metrics, which tell what others ask and how we are built, and profiles, which show what
// is in memory and cost a lot.
func (s *Service) admin() http.Handler {
	mux := http.NewServeMux()
	s.health.register(mux)
	mux.Handle("GET /metrics", s.metrics.Handler())
	mux.HandleFunc("GET /debug/pprof/profile", cpuProfile)
	mux.HandleFunc("GET /debug/pprof/{name}", profile)
	return mux
}
