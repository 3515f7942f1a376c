package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// newClient speaks one version of HTTP and no other.
func newClient(p plan) (*http.Client, error) {
	secure, err := trust(p.ca)
	if err != nil {
		return nil, err
	}
	if p.protocol == "3" {
		return &http.Client{CheckRedirect: stay, Transport: &http3.Transport{
			TLSClientConfig: secure,
			QUICConfig:      &quic.Config{MaxIdleTimeout: time.Minute},
		}}, nil
	}
	var protocols http.Protocols
	protocols.SetHTTP1(p.protocol == "1.1")
	protocols.SetHTTP2(p.protocol == "2")
	protocols.SetUnencryptedHTTP2(p.protocol == "2")
	return &http.Client{CheckRedirect: stay, Transport: &http.Transport{
		Protocols:           &protocols,
		TLSClientConfig:     secure,
		MaxIdleConns:        p.workers,
		MaxIdleConnsPerHost: p.workers,
		MaxConnsPerHost:     p.workers,
		DisableCompression:  true,
		IdleConnTimeout:     time.Minute,
	}}, nil
}

// stay follows no redirect: it could lead away from loopback, and would be two requests counted as one.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func trust(file string) (*tls.Config, error) {
	if file == "" {
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("-ca %s: there is no certificate in it", file)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}
