package config

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
)

func with(variables ...string) func(string) string {
	return func(name string) string {
		for _, variable := range variables {
			if key, value, _ := strings.Cut(variable, "="); key == name {
				return value
			}
		}
		return ""
	}
}

func TestTheDefaultsWork(t *testing.T) {
	c, err := Parse(nil, with(), io.Discard)
	if err != nil || c.HTTP != ":8080" || c.Admin != "127.0.0.1:9090" || c.ID == "" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestFlagsGoBeforeTheEnvironment(t *testing.T) {
	c, err := Parse([]string{"-http", ":1"},
		with("VIDEOMETA_HTTP=:2", "VIDEOMETA_STORE=s", "VIDEOMETA_ETCD=a:1, b:1", "VIDEOMETA_ADVERTISE=h:1", "VIDEOMETA_LOG_LEVEL=WARN"), io.Discard)
	if err != nil || c.HTTP != ":1" || c.Store != "s" || len(c.Etcd) != 2 || c.Etcd[1] != "b:1" || c.LogLevel != slog.LevelWarn {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestWhatCantWorkIsRefused(t *testing.T) {
	for word, args := range map[string]string{
		"flags only":             "serve",
		"not defined":            "-nothing",
		`-http "8080"`:           "-http 8080",
		"-http or -https":        "-http=",
		"with -tls-cert":         "-https :1",
		"with -https":            "-h3",
		"should not be negative": "-etcd a:1 -advertise h:1 -weight -1",
		"-etcd-key should":       "-etcd-cert c",
		"-etcd-password-file":    "-etcd-user u",
		"with -etcd":             "-peers",
		"can reach":              "-etcd a:1",
		`-advertise "0.0.0.0:1"`: "-etcd a:1 -advertise 0.0.0.0:1",
		"below Grace":            "-grace 10s",
	} {
		if _, err := Parse(strings.Fields(args), with(), io.Discard); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if _, err := Parse(nil, with("VIDEOMETA_NOTICE=soon", "VIDEOMETA_H3=perhaps"), io.Discard); err == nil ||
		!strings.Contains(err.Error(), `VIDEOMETA_NOTICE="soon"`) || !strings.Contains(err.Error(), "VIDEOMETA_H3") {
		t.Errorf("not all wrong variables are named: %v", err)
	}
}

func TestTheSummaryHasEveryFlag(t *testing.T) {
	c, err := Parse([]string{"-store", "here"}, with("VIDEOMETA_ZONE=east"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("configuration", "of", c)
	for _, word := range []string{`"store":"here"`, `"zone":"east"`, `"notice":"5s"`, `"in-flight":"512"`} {
		if !strings.Contains(out.String(), word) {
			t.Errorf("%s is missing in %s", word, &out)
		}
	}
}
