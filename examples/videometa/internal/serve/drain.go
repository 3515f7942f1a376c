package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Drain ends the service so that no request is lost: it says that it isn't ready and serves on until balancers know,
// closes the listeners, lets requests end, takes its registration back, and lets go of the rest.
//
// It takes no longer than Notice, Finish and Deregister of the limits together.
func (s *Service) Drain() error {
	table := s.config.Limits
	s.health.draining.Store(true)
	s.log.Info("draining", "notice", table.Notice, "finish", table.Finish)
	time.Sleep(table.Notice)
	finished := s.finish(table.Finish)
	s.cancel() // deregisters
	s.beside.Wait()
	err := errors.Join(finished, s.release())
	s.log.Info("drained", "whole", err == nil)
	return err
}

// serving are all listeners but the admin's, by which a drain can be watched.
func (s *Service) serving() []listener {
	if n := len(s.listeners); n > 0 && s.listeners[n-1].name == "admin" {
		return s.listeners[:n-1]
	}
	return s.listeners
}

func (s *Service) finish(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for _, l := range s.serving() {
		all.Go(func() {
			if err := l.server.Shutdown(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s: requests were cut off after %s: %w", l.name, within, err))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
