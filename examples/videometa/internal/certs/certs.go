// Package certs keeps a server's certificate as it is on disk now: whoever renews it need not restart the service.
package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// Certificate is a pair of files and what was last read of them.
type Certificate struct {
	certFile, keyFile string
	now               atomic.Pointer[loaded]
}

type loaded struct {
	certPEM, keyPEM []byte
	pair            tls.Certificate
}

// Load reads a certificate and its key.
func Load(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	_, err := c.Reload()
	return c, err
}

// Reload reads the files again; what was read before stays where they can't be, or don't belong together.
func (c *Certificate) Reload() (changed bool, err error) {
	certPEM, certErr := os.ReadFile(c.certFile)
	keyPEM, keyErr := os.ReadFile(c.keyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return false, fmt.Errorf("certificate: %w", err)
	}
	before := c.now.Load()
	if before != nil && bytes.Equal(before.certPEM, certPEM) && bytes.Equal(before.keyPEM, keyPEM) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return false, fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.now.Store(&loaded{certPEM, keyPEM, pair})
	return true, nil
}

// Watch reads the files at every tick until ctx is done.
//
// It compares what they say, not when they were written: Kubernetes replaces a secret by a link to another folder.
func (c *Certificate) Watch(ctx context.Context, ticks <-chan time.Time, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		changed, err := c.Reload()
		switch {
		case err != nil:
			log.Warn("the certificate stays as it was", "error", err)
		case changed:
			log.Info("certificate read again", "file", c.certFile)
		}
	}
}

// Server is the TLS of a server: 1.2 is the floor (RFC 8996), and every handshake gets the certificate of its time.
func (c *Certificate) Server() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.now.Load().pair, nil },
	}
}

// Client is the TLS of a client that trusts a file of certificates, and shows its own where there is one.
func Client(caFile, certFile, keyFile string) (*tls.Config, error) {
	caPEM, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(caPEM) {
		return nil, fmt.Errorf("%s: there should be a certificate in it (PEM)", caFile)
	}
	if certFile == "" {
		return config, nil
	}
	own, err := Load(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if _, err := own.Reload(); err != nil {
			slog.Warn("our certificate stays as it was", "error", err)
		}
		return &own.now.Load().pair, nil
	}
	return config, nil
}
