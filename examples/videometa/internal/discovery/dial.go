package discovery

import (
	"crypto/tls"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Access is how etcd is reached.
type Access struct {
	Endpoints []string
	TLS       *tls.Config
	User      string
	Password  string
	Timeout   time.Duration // of a user's login
	Retry     time.Duration // of an attempt to connect, of the wait before the next, and of a connection whose other end is silent
}

// keepAlive is how long a connection may be silent before it is asked: grpc takes no less.
const keepAlive = 10 * time.Second

// Dial opens a client. It doesn't wait for etcd to be there, but for a user's login, which etcd has to answer.
func Dial(access Access) (*clientv3.Client, error) {
	// grpc's own back-off grows to two minutes, and is not reset by calls: after a long outage of etcd an instance would
	// be missing for as long.
	retry := backoff.Config{BaseDelay: min(access.Retry, 200*time.Millisecond), Multiplier: 1.6, Jitter: 0.2, MaxDelay: access.Retry}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            access.Endpoints,
		TLS:                  access.TLS,
		Username:             access.User,
		Password:             access.Password,
		DialTimeout:          access.Timeout,
		DialKeepAliveTime:    keepAlive,
		DialKeepAliveTimeout: access.Retry,
		DialOptions:          []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: access.Retry})},
		Logger:               zap.NewNop(), // the caller logs what goes wrong
	})
	if err != nil {
		return nil, fmt.Errorf("etcd at %v: %w", access.Endpoints, err)
	}
	return client, nil
}
