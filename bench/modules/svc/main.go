// Svc is what the benchmark builds as "a service with etcd, QUIC and Prometheus": small itself, with the
// dependencies that such services have. It answers over HTTP/1.1, HTTP/2 and HTTP/3, counts what it answers, and
// reads its greeting from etcd where one is given.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/quic-go/quic-go/http3"
	"github.com/tidwall/gjson"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const largestDocument = 1 << 20

var answered = promauto.NewCounterVec(
	prometheus.CounterOpts{Name: "svc_answers_total", Help: "Answers given, by status."}, []string{"status"},
)

type service struct {
	etcd   *clientv3.Client
	logger *zap.Logger
}

func main() {
	plain := flag.String("listen", ":8080", "address for HTTP")
	secure := flag.String("quic", "", "address for HTTP/3; needs -cert and -key")
	cert := flag.String("cert", "", "certificate file")
	key := flag.String("key", "", "key file")
	endpoint := flag.String("etcd", "", "address of an etcd server")
	flag.Parse()
	logger := zap.Must(zap.NewProduction())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s := &service{logger: logger}
	if *endpoint != "" {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{*endpoint}, DialTimeout: 3 * time.Second})
		if err != nil {
			logger.Fatal("etcd", zap.Error(err))
		}
		defer client.Close()
		s.etcd = client
	}
	if *secure != "" {
		go s.serveQUIC(*secure, *cert, *key)
	}
	s.servePlain(ctx, *plain)
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.Handler())
	mux.HandleFunc("GET /greeting", s.greet)
	mux.HandleFunc("POST /title", s.title)
	return mux
}

func (s *service) servePlain(ctx context.Context, address string) {
	server := &http.Server{Addr: address, Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(patience)
	}()
	if err := server.ListenAndServe(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		s.logger.Fatal("http", zap.Error(err))
	}
}

func (s *service) serveQUIC(address, cert, key string) {
	server := &http3.Server{
		Addr: address, Handler: s.routes(), TLSConfig: http3.ConfigureTLSConfig(&tls.Config{MinVersion: tls.VersionTLS13}),
	}
	if err := server.ListenAndServeTLS(cert, key); err != nil {
		s.logger.Error("http3", zap.Error(err))
	}
}

// greet reads the greeting from etcd, or has one of its own.
func (s *service) greet(w http.ResponseWriter, r *http.Request) {
	words := "hello"
	if s.etcd != nil {
		found, err := s.etcd.Get(r.Context(), "greeting")
		if err != nil {
			s.answer(w, http.StatusBadGateway, err.Error())
			return
		}
		if len(found.Kvs) > 0 {
			words = string(found.Kvs[0].Value)
		}
	}
	s.answer(w, http.StatusOK, words)
}

// title picks one field out of a JSON document.
func (s *service) title(w http.ResponseWriter, r *http.Request) {
	document, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestDocument))
	if err != nil {
		s.answer(w, http.StatusRequestEntityTooLarge, err.Error())
		return
	}
	s.answer(w, http.StatusOK, gjson.GetBytes(document, "video.title").String())
}

func (s *service) answer(w http.ResponseWriter, status int, words string) {
	answered.WithLabelValues(http.StatusText(status)).Inc()
	w.WriteHeader(status)
	_, _ = io.WriteString(w, words+"\n") // the client went away: nobody is left to tell
}
