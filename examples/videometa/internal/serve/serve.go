// Package serve runs the service: it opens what the configuration names, serves, and drains in an order that loses no request.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"example.com/videometa/internal/api"
	"example.com/videometa/internal/budget"
	"example.com/videometa/internal/certs"
	"example.com/videometa/internal/config"
	"example.com/videometa/internal/guard"
	"example.com/videometa/internal/metrics"
	"example.com/videometa/internal/store"
)

// certificateEvery is how often the certificate's files are looked at: two small reads.
const certificateEvery = 10 * time.Second

// Service is one that runs, from Start to Drain.
type Service struct {
	config    config.Config
	version   string
	log       *slog.Logger
	metrics   *metrics.Metrics
	health    health
	videos    store.Store
	discovery *discovered // nil where nobody has to find us
	listeners []listener  // the admin's is the last
	failed    chan error
	ctx       context.Context // of what runs beside the servers
	cancel    context.CancelFunc
	beside    sync.WaitGroup
}

// Start opens everything, and serves when all of it is open.
func Start(c config.Config, version string, log *slog.Logger, counted *metrics.Metrics) (*Service, error) {
	s := &Service{config: c, version: version, log: log, metrics: counted, failed: make(chan error, 4)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		s.cancel()
		return nil, errors.Join(err, s.release())
	}
	for _, l := range s.listeners {
		go l.run(s.failed)
		log.Info("listening", "as", l.name, "address", l.address.String())
	}
	return s, nil
}

// Failed gives the error of a listener that stopped by itself.
func (s *Service) Failed() <-chan error { return s.failed }

// Address is where a listener listens: "http", "https", "h3" or "admin"; nil where there is none.
func (s *Service) Address(name string) net.Addr {
	for _, l := range s.listeners {
		if l.name == name {
			return l.address
		}
	}
	return nil
}

func (s *Service) open() error {
	var err error
	if s.videos, err = openStore(s.config.Store); err != nil {
		return err
	}
	if err := s.discover(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	bodies := budget.New(s.config.Limits.Held)
	s.metrics.Bodies(bodies.Used, bodies.Refused)
	api.New(s.videos, s.peers(), s.config.Limits, bodies).Register(mux)
	guarded := guard.New(mux, s.metrics, s.log, s.config.Limits)
	return s.listen(s.public(guarded))
}

func openStore(path string) (store.Store, error) {
	if path == "" {
		return store.Memory{}, nil
	}
	file, err := store.Open(path)
	if err != nil {
		return nil, err // and not a nil file, which as a Store would not be nil
	}
	return file, nil
}

func (s *Service) listen(handler http.Handler) error {
	c := s.config
	if c.HTTP != "" {
		if err := s.add(overTCP("http", c.HTTP, httpServer(handler, c.Limits, s.log.Handler()), nil)); err != nil {
			return err
		}
	}
	if c.HTTPS != "" {
		if err := s.listenSecurely(handler); err != nil {
			return err
		}
	}
	if c.Admin == "" {
		return nil
	}
	operators := httpServer(s.admin(), c.Limits, s.log.Handler())
	operators.WriteTimeout = 0 // a profile takes as long as its reader asks
	return s.add(overTCP("admin", c.Admin, operators, nil))
}

func (s *Service) listenSecurely(handler http.Handler) error {
	c := s.config
	certificate, err := certs.Load(c.Cert, c.Key)
	if err != nil {
		return err
	}
	s.beside.Go(func() {
		ticker := time.NewTicker(certificateEvery)
		defer ticker.Stop()
		certificate.Watch(s.ctx, ticker.C, s.log)
	})
	overTLS := httpServer(handler, c.Limits, s.log.Handler())
	if err := s.add(overTCP("https", c.HTTPS, overTLS, certificate.Server())); err != nil {
		return err
	}
	if !c.H3 {
		return nil
	}
	// The port that TCP has got is taken for UDP too: Alt-Svc needs but the port then.
	address := s.Address("https").String()
	udp, h3, err := overUDP(address, withDeadlines(handler, c.Limits), certificate.Server(), c.Limits, s.log)
	if err == nil {
		h3.Port = c.H3Port
		overTLS.Handler = advertised(handler, h3)
	}
	return s.add(udp, err)
}

func (s *Service) add(l listener, err error) error {
	if err == nil {
		s.listeners = append(s.listeners, l)
	}
	return err
}

// release closes what Drain, or a start that failed, leaves.
func (s *Service) release() error {
	s.cancel()
	s.beside.Wait()
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.server.Close())
		if l.release != nil {
			errs = append(errs, l.release())
		}
	}
	if s.discovery != nil {
		errs = append(errs, s.discovery.client.Close())
	}
	if s.videos != nil {
		errs = append(errs, s.videos.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
