package serve

import (
	"context"
	"fmt"
	"os"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"example.com/videometa/internal/api"
	"example.com/videometa/internal/breaker"
	"example.com/videometa/internal/certs"
	"example.com/videometa/internal/discovery"
	"example.com/videometa/internal/peer"
)

// service is the name that all instances have in etcd.
const service = "videometa"

// discovered is how we are found, and find others.
type discovered struct {
	client   *clientv3.Client
	resolver *discovery.Resolver
	instance discovery.Instance
	stop     context.CancelFunc // of our registration
	stopped  chan struct{}      // closed when it is taken back
}

// withdraw takes our registration back, and waits until those who watch know it.
func (d *discovered) withdraw(ctx context.Context) bool {
	d.stop()
	select {
	case <-d.stopped:
	case <-ctx.Done():
		return false
	}
	return d.resolver.WaitGone(ctx, d.instance.ID)
}

func (s *Service) discover() error {
	c := s.config
	if len(c.Etcd) == 0 {
		return nil
	}
	access, err := s.access()
	if err != nil {
		return err
	}
	client, err := discovery.Dial(access)
	if err != nil {
		return err
	}
	instance := discovery.Instance{ID: c.ID, Address: c.Advertise, Zone: c.Zone, Weight: c.Weight, Version: s.version}
	resolver := discovery.NewResolver(client, service, c.Snapshot, c.Limits)
	d := &discovered{client: client, resolver: resolver, instance: instance, stopped: make(chan struct{})}
	s.discovery = d
	registrar, err := discovery.NewRegistrar(client, instance, c.Limits, service)
	if err != nil {
		return err
	}
	s.health.standing, s.health.others = registrar.Standing, resolver.Knowledge
	s.metrics.Registrar(registrar.Standing)
	s.metrics.Resolver(service, resolver.Knowledge)
	ctx, stop := context.WithCancel(s.ctx)
	d.stop = stop
	s.beside.Go(func() { defer close(d.stopped); registrar.Run(ctx) })
	s.beside.Go(func() { resolver.Run(s.ctx) })
	return nil
}

func (s *Service) access() (discovery.Access, error) {
	c := s.config
	access := discovery.Access{Endpoints: c.Etcd, User: c.EtcdUser, Timeout: c.Limits.Lease, Retry: c.Limits.Reconnect}
	if c.EtcdPasswordFile != "" {
		password, err := os.ReadFile(c.EtcdPasswordFile)
		if err != nil {
			return access, fmt.Errorf("etcd's password: %w", err)
		}
		access.Password = strings.TrimSpace(string(password))
	}
	if c.EtcdCA != "" {
		secure, err := certs.Client(c.EtcdCA, c.EtcdCert, c.EtcdKey)
		if err != nil {
			return access, fmt.Errorf("etcd's certificates: %w", err)
		}
		access.TLS = secure
	}
	return access, nil
}

func (s *Service) peers() api.Peers {
	if !s.config.Peers {
		return nil
	}
	client := peer.New(s.discovery.resolver, s.discovery.instance, s.config.Limits, breaker.Config{})
	s.metrics.Register(peer.NewCollector(client))
	return client
}
