// Package config reads how the service shall run from flags and the environment, and refuses what can't work.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"

	"example.com/videometa/internal/limits"
)

// Prefix starts the variables of the environment: -tls-cert is VIDEOMETA_TLS_CERT.
const Prefix = "VIDEOMETA_"

// Config is how the service shall run.
type Config struct {
	HTTP, HTTPS, Admin string // addresses; "" listens not at all
	H3                 bool
	H3Port             int
	Cert, Key          string // files
	Store              string // file; "" is an empty store
	LogLevel           slog.Level

	Etcd                []string // endpoints; none is no discovery
	EtcdCA, EtcdCert    string   // files
	EtcdKey             string   // file
	EtcdUser            string
	EtcdPasswordFile    string
	Advertise, ID, Zone string
	Weight              int
	Snapshot            string // file that keeps what was last known of other instances
	Peers               bool   // ask other instances for what the store hasn't
	Limits              limits.Table
	summary             []slog.Attr
}

// Parse reads arguments, then the environment for flags that weren't given; usage goes to out.
func Parse(args []string, getenv func(string) string, out io.Writer) (Config, error) {
	c := Config{Limits: limits.Default()}
	flags := flag.NewFlagSet("videometa", flag.ContinueOnError)
	flags.SetOutput(out)
	c.define(flags)
	if err := flags.Parse(args); err != nil {
		return Config{}, err
	}
	if flags.NArg() > 0 {
		return Config{}, fmt.Errorf("config: %q: there should be flags only", flags.Arg(0))
	}
	if err := fromEnvironment(flags, getenv); err != nil {
		return Config{}, err
	}
	if c.Advertise == "" {
		c.Advertise = c.HTTP
	}
	if c.ID == "" {
		c.ID = hostname() + c.Advertise
	}
	flags.VisitAll(func(f *flag.Flag) { c.summary = append(c.summary, slog.String(f.Name, f.Value.String())) })
	return c, c.check()
}

func (c *Config) define(flags *flag.FlagSet) {
	flags.StringVar(&c.HTTP, "http", ":8080", "`address` of HTTP/1.1 and unencrypted HTTP/2")
	flags.StringVar(&c.HTTPS, "https", "", "`address` of HTTPS, such as :8443")
	flags.BoolVar(&c.H3, "h3", false, "HTTP/3 too, at the same address by UDP")
	flags.IntVar(&c.H3Port, "h3-port", 0, "`port` of HTTP/3 as clients see it (default: the one of -https)")
	flags.StringVar(&c.Cert, "tls-cert", "", "`file` of the certificates (PEM); read again when it changes")
	flags.StringVar(&c.Key, "tls-key", "", "`file` of their key")
	flags.StringVar(&c.Admin, "admin", "127.0.0.1:9090", "`address` of metrics, health and pprof, for operators alone")
	flags.StringVar(&c.Store, "store", "", "`file` of the videos, written by seed; without it there are none")
	flags.TextVar(&c.LogLevel, "log-level", slog.LevelInfo, "least `level` that is logged: DEBUG, INFO, WARN or ERROR")
	flags.Var((*list)(&c.Etcd), "etcd", "`endpoints` of etcd, with commas between; without it nobody finds this instance")
	flags.StringVar(&c.EtcdCA, "etcd-ca", "", "`file` of the certificates that etcd's are verified by; it turns TLS on")
	flags.StringVar(&c.EtcdCert, "etcd-cert", "", "`file` of our certificate for etcd")
	flags.StringVar(&c.EtcdKey, "etcd-key", "", "`file` of its key")
	flags.StringVar(&c.EtcdUser, "etcd-user", "", "`name` to log in to etcd with")
	flags.StringVar(&c.EtcdPasswordFile, "etcd-password-file", "", "`file` of the password")
	flags.StringVar(&c.Advertise, "advertise", "", "`address` at which other instances reach this one (default: -http)")
	flags.StringVar(&c.ID, "id", "", "`name` of this instance (default: host and address)")
	flags.StringVar(&c.Zone, "zone", "", "`name` of where it runs: others of the zone are asked first")
	flags.IntVar(&c.Weight, "weight", 100, "how many calls it gets beside others")
	flags.StringVar(&c.Snapshot, "snapshot", "", "`file` that keeps what was last known of other instances")
	flags.BoolVar(&c.Peers, "peers", false, "ask other instances for a video that isn't in the store")
	flags.IntVar(&c.Limits.InFlight, "in-flight", c.Limits.InFlight, "requests at once; more are shed")
	flags.IntVar(&c.Limits.Bodies, "bodies", c.Limits.Bodies, "requests at once that have a body")
	flags.Float64Var(&c.Limits.Share, "share", c.Limits.Share, "part of either that one address may have; 1 behind a proxy")
	flags.DurationVar(&c.Limits.Notice, "notice", c.Limits.Notice, "how long to serve on after SIGTERM, unready, until balancers know")
	flags.DurationVar(&c.Limits.Grace, "grace", c.Limits.Grace, "how long the platform waits from SIGTERM to SIGKILL")
}

func fromEnvironment(flags *flag.FlagSet, getenv func(string) string) error {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var errs []error
	flags.VisitAll(func(f *flag.Flag) {
		name := Prefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := getenv(name)
		if value == "" || given[f.Name] {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("config: %s=%q: %w", name, value, err))
		}
	})
	return errors.Join(errs...)
}

// check tells everything that is wrong, not the first thing alone.
func (c Config) check() error {
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf("config: "+format, args...))
		}
	}
	for name, address := range map[string]string{"http": c.HTTP, "https": c.HTTPS, "admin": c.Admin} {
		_, _, err := net.SplitHostPort(address)
		wrong(address != "" && err != nil, "-%s %q: should be host:port or :port", name, address)
	}
	wrong(c.HTTP == "" && c.HTTPS == "", "there should be -http or -https")
	wrong(c.HTTPS != "" && (c.Cert == "" || c.Key == ""), "-https should come with -tls-cert and -tls-key")
	wrong(c.H3 && c.HTTPS == "", "-h3 should come with -https")
	wrong(len(c.Etcd) > 0 && c.Weight < 0, "-weight %d: should not be negative", c.Weight)
	wrong((c.EtcdCert == "") != (c.EtcdKey == ""), "-etcd-cert and -etcd-key should come together")
	wrong((c.EtcdUser == "") != (c.EtcdPasswordFile == ""), "-etcd-user and -etcd-password-file should come together")
	wrong(c.Peers && len(c.Etcd) == 0, "-peers should come with -etcd")
	host, _, _ := net.SplitHostPort(c.Advertise)
	wrong(len(c.Etcd) > 0 && (host == "" || net.ParseIP(host).IsUnspecified()),
		"-advertise %q: should have a host that other instances can reach", c.Advertise)
	return errors.Join(append(errs, c.Limits.Check())...)
}

// LogValue is the summary: every flag and its value. Passwords are in files, so none is in it.
func (c Config) LogValue() slog.Value { return slog.GroupValue(c.summary...) }

// list is a flag with commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(text string) error {
	*l = nil
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			*l = append(*l, one)
		}
	}
	return nil
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "videometa"
	}
	return name
}
