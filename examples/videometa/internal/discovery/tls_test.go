package discovery

import (
	"testing"
	"time"

	"example.com/videometa/internal/certs"
	"example.com/videometa/internal/certs/certstest"
	"example.com/videometa/internal/discovery/etcdtest"
)

// An etcd that takes nobody without a certificate: who has one is registered, who has none, or trusts another, is not.
func TestCertificatesOfBothSides(t *testing.T) {
	cert, key := certstest.Write(t, t.TempDir(), "etcd")
	e := etcdtest.Start(t, "https", "--cert-file", cert, "--key-file", key, "--client-cert-auth", "--trusted-ca-file", cert)
	address := "https://" + e.Address

	secure, err := certs.Client(cert, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	known, err := Dial(Access{Endpoints: []string{address}, TLS: secure, Timeout: 2 * time.Second, Retry: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer known.Close()
	r := registrar(t, known, "a")
	run(t, r.Run)
	eventually(t, "who has a certificate is registered", func() bool { return r.Standing().Registered })

	other, _ := certstest.Write(t, t.TempDir(), "another")
	for name, files := range map[string][3]string{"no certificate": {cert, "", ""}, "another's trust": {other, cert, key}} {
		secure, err := certs.Client(files[0], files[1], files[2])
		if err != nil {
			t.Fatal(err)
		}
		stranger, err := Dial(Access{Endpoints: []string{address}, TLS: secure, Timeout: 2 * time.Second, Retry: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		s := registrar(t, stranger, "b")
		end := run(t, s.Run)
		eventually(t, name+" is refused", func() bool { return s.Standing().Failures > 0 })
		if s.Standing().Registered {
			t.Errorf("%s: registered", name)
		}
		end()
		stranger.Close()
	}
}
