// Package discovery tells other instances where this one is, and this one where others are, by etcd.
//
// An instance has one lease for all its services, so that one small call keeps them all; the calls of many instances
// are spread by jitter. Whoever looks others up watches, and answers from memory: etcd may be away for as long as it
// likes, what was last known is still there.
package discovery

import (
	"encoding/json"
	"fmt"
)

// Instance is one process that serves.
type Instance struct {
	ID      string `json:"id"`
	Address string `json:"address"` // host:port
	Zone    string `json:"zone,omitempty"`
	Version string `json:"version,omitempty"`
	Weight  int    `json:"weight"` // how many calls it gets beside others; below 1 none
}

// prefix is where etcd has the instances of a service.
func prefix(service string) string { return "/videometa/services/" + service + "/" }

func key(service, id string) string { return prefix(service) + id }

func parse(value []byte) (Instance, error) {
	var instance Instance
	if err := json.Unmarshal(value, &instance); err != nil {
		return Instance{}, fmt.Errorf("an instance that is none: %w", err)
	}
	if instance.ID == "" || instance.Address == "" {
		return Instance{}, fmt.Errorf("an instance without id or address: %s", value)
	}
	return instance, nil
}
