"""What the packages linked into a Go program will ask of the root it runs in, by the names of their functions.

Linked is not called: every HTTP client links crypto/x509. So these are what a program can ask for.

Sources: Go 1.26: crypto/x509/root_linux.go, time/zoneinfo_unix.go and sys_unix.go, os/user/lookup_stubs.go,
net/conf.go, net/dnsconfig_unix.go, net/port_unix.go, mime/type_unix.go, os/file_unix.go and os/file.go, os/exec.
"""

import re
from dataclasses import dataclass
from typing import Final

from wherry.elf.reader import Elf
from wherry.errors import InvalidDocument
from wherry.golang import pclntab


@dataclass(frozen=True, slots=True)
class GoAsk:
    """A kind of file that packages of Go's standard library look for."""

    kind: str
    functions: tuple[str, ...]
    """Any of them asks for it."""
    paths: tuple[str, ...]
    """Where it is looked for, one is enough; empty where there is nothing to look for."""
    effect: str
    """What happens without it."""
    matters: bool
    """Whether what is missing is an error for the caller; else Go has something of its own, or the runtime makes it."""
    variables: tuple[str, ...] = ()
    """Environment variables that name another place."""
    embedded: tuple[str, ...] = ()
    """Functions that show that the program carries it along."""


ASKS: Final = (
    GoAsk(
        kind="certificates",
        functions=("crypto/x509.SystemCertPool", "crypto/x509.loadSystemRoots", "crypto/x509.systemRootsPool"),
        paths=(
            "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
            "/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
            "/etc/ssl/certs", "/etc/pki/tls/certs",
        ),
        effect="TLS connections to servers fail: certificate signed by unknown authority",
        matters=True,
        variables=("SSL_CERT_FILE", "SSL_CERT_DIR"),
        embedded=("crypto/x509.SetFallbackRoots",),
    ),
    GoAsk(
        kind="zones",
        functions=("time.LoadLocation",),
        paths=("/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo"),
        effect="time.LoadLocation fails: unknown time zone",
        matters=True,
        variables=("ZONEINFO",),
        embedded=("time/tzdata.loadFromEmbeddedTZData",),
    ),
    GoAsk(
        kind="local-time",
        functions=("time.initLocal",),
        paths=("/etc/localtime",),
        effect="local time is UTC, as long as TZ names no zone that is there",
        matters=False,
        variables=("TZ",),
    ),
    GoAsk(
        kind="accounts",
        functions=(
            "os/user.Current", "os/user.Lookup", "os/user.LookupId", "os/user.lookupUser", "os/user.lookupUserId",
        ),
        paths=("/etc/passwd",),
        effect="os/user finds no user but the current one, which needs USER and HOME to be set",
        matters=True,
    ),
    GoAsk(
        kind="groups",
        functions=(
            "os/user.LookupGroup", "os/user.LookupGroupId", "os/user.lookupGroup", "os/user.lookupGroupId",
            "os/user.(*User).GroupIds",
        ),
        paths=("/etc/group",),
        effect="os/user finds no group",
        matters=True,
    ),
    GoAsk(
        kind="nsswitch",
        functions=("net.parseNSSConfFile", "net.parseNSSConf", "net.getSystemNSS", "net.(*nsswitchConfig).init"),
        paths=("/etc/nsswitch.conf",),
        effect="names are looked up in /etc/hosts, then by DNS",
        matters=False,
    ),
    GoAsk(
        kind="resolver",
        functions=("net.dnsReadConfig", "net.(*Resolver).goLookupIPCNAMEOrder"),
        paths=("/etc/resolv.conf",),
        effect="the container's runtime writes it; where it does not, DNS goes to 127.0.0.1",
        matters=False,
    ),
    GoAsk(
        kind="hosts",
        functions=("net.readHosts", "net.lookupStaticHost"),
        paths=("/etc/hosts",),
        effect="the container's runtime writes it",
        matters=False,
    ),
    GoAsk(
        kind="services",
        functions=("net.readServices",),
        paths=("/etc/services",),
        effect="only the ports that Go has a table of are known by name, such as http",
        matters=False,
    ),
    GoAsk(
        kind="mime-types",
        functions=("mime.TypeByExtension", "mime.ExtensionsByType"),
        paths=(
            "/usr/local/share/mime/globs2", "/usr/share/mime/globs2", "/etc/mime.types", "/etc/apache2/mime.types",
            "/etc/apache/mime.types", "/etc/httpd/conf/mime.types",
        ),
        effect="only the types that Go has a table of are known by extension, such as .html",
        matters=False,
    ),
    GoAsk(
        kind="tmp",
        functions=("os.CreateTemp", "os.MkdirTemp", "os.TempDir"),
        paths=("/tmp",),  # noqa: S108 - a name that programs are asked about
        effect="temporary files cannot be made",
        matters=True,
        variables=("TMPDIR",),
    ),
    GoAsk(
        kind="home",
        functions=("os.UserHomeDir", "os.UserConfigDir", "os.UserCacheDir"),
        paths=("/etc/passwd",),
        effect="$HOME may be unset: runtimes take it from the user's line in /etc/passwd, else it is /",
        matters=False,
        variables=("HOME",),
    ),
    GoAsk(
        kind="programs",
        functions=("os/exec.Command", "os/exec.CommandContext", "os/exec.LookPath", "os.StartProcess"),
        paths=(),
        effect="it can start other programs; which ones is not known without a run",
        matters=False,
    ),
    GoAsk(
        kind="name-service",
        functions=("net._C2func_getaddrinfo", "os/user._C2func_getpwnam_r", "os/user._C2func_getpwuid_r"),
        paths=(),
        effect="the C library loads the modules that /etc/nsswitch.conf names (libnss_*.so.2) when it looks up a name",
        matters=False,
    ),
    GoAsk(
        kind="plugins",
        functions=("plugin.Open",),
        paths=(),
        effect="it can load plugins; which ones is not known without a run",
        matters=False,
    ),
)  # fmt: skip
FUNCTIONS: Final = tuple(sorted({name for ask in ASKS for name in (*ask.functions, *ask.embedded)}))

_KNOWN = re.compile(rb"(?<![^\x00])(?:" + b"|".join(re.escape(name.encode()) for name in FUNCTIONS) + rb")(?=\x00)")


def linked_functions(elf: Elf) -> frozenset[str]:
    """Find which of `FUNCTIONS` are linked into a Go program, stripped or not; none in another one.

    Cost: one search over the names of functions, some milliseconds for 30 MB.
    """
    section = next(filter(None, map(elf.section, pclntab.SECTIONS)), None)
    if section is None:
        return frozenset()
    try:
        table = pclntab.Pclntab.parse(elf.content(section), elf.name)
    except InvalidDocument:
        return frozenset()
    return frozenset(found.decode() for found in _KNOWN.findall(table.funcnames))
