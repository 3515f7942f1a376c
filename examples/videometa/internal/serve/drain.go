package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Drain ends the service so that no request is lost: it says that it isn't ready and takes its registration back, serves
// on until balancers and other instances know, closes the listeners, lets requests end, and lets go of the rest.
//
// It takes no longer than Deregister, Notice and Finish of the limits together.
func (s *Service) Drain() error {
	table := s.config.Limits
	s.health.draining.Store(true)
	notice := time.After(table.Notice)
	s.log.Info("draining", "notice", table.Notice, "finish", table.Finish)
	if s.discovery != nil {
		within, cancel := context.WithTimeout(context.Background(), table.Deregister)
		s.log.Info("withdrawn", "seen", s.discovery.withdraw(within))
		cancel()
	}
	<-notice
	finished := s.finish(table.Finish)
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
