"""The shapes of well-known secrets, as data; and texts without what should not be read twice.

A rule's pattern is documented by the issuer of the secret; `source` names where. A shape alone is not a proof: what is
an example, or has too little chance in it, is passed over.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

_LEAST_CHANCE = 3.0
"""Bits a character (Shannon) of a token that a machine made; words and examples have less."""
_PLACEHOLDERS = frozenset((
    b"password", b"passwd", b"pass", b"pwd", b"secret", b"changeme", b"hunter2", b"user", b"root", b"admin", b"test",
    b"foo", b"bar", b"token", b"redacted", b"mypassword", b"yourpassword", b"p@ssw0rd", b"guest", b"foobar",
))  # fmt: skip
_EXAMPLE = re.compile(rb"(?i)example|sample|dummy|placeholder|redacted|your|xxxx|(.)\1{5}|0123456789|abcdefgh")


@dataclass(frozen=True, slots=True)
class SecretRule:
    """One kind of secret."""

    name: str
    anchors: tuple[bytes, ...]
    """Texts that every such secret has; what is looked for first."""
    shape: re.Pattern[bytes]
    """Group 1 is what has to stay hidden."""
    what: str
    source: str
    lead: int = 0
    """Bytes that the shape may begin before its anchor."""
    chance: float = _LEAST_CHANCE
    """The least bits a character of group 1."""

    def found(self, text: bytes, at: int) -> re.Match[bytes] | None:
        """Find the secret with an anchor at a position in a text."""
        matches = (self.shape.match(text, start) for start in range(max(0, at - self.lead), at + 1))
        match = next((one for one in matches if one and one.end() > at), None)
        return match if match and self.believed(match.group(1)) else None

    def believed(self, secret: bytes) -> bool:
        """Report whether it is a secret rather than an example of one."""
        if secret.lower() in _PLACEHOLDERS or _EXAMPLE.search(secret):
            return False
        return chance_of(secret) >= self.chance


def _rule(name: str, anchors: str, shape: str, what: str, source: str, **more: float) -> SecretRule:
    lead, chance = int(more.get("lead", 0)), more.get("chance", _LEAST_CHANCE)
    words = tuple(anchor.encode() for anchor in anchors.split(" "))
    return SecretRule(f"secret-{name}", words, re.compile(shape.encode()), what, source, lead, chance)


_SCHEMES = "https?|ftps?|postgres(?:ql)?|mysql|mariadb|mongodb(?:\\+srv)?|rediss?|amqps?|ldaps?|smtps?|nats|mqtts?"

RULES: Final = (
    _rule(
        "private-key", "-----BEGIN", r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        r"((?:\s|\\[nr])(?:[A-Za-z0-9+/=:,\s-]|\\[nr]){96,7800})-----END",
        "a private key (PEM)", "RFC 7468", chance=4.0,
    ),
    _rule("aws-key", "AKIA ASIA", r"A[KS]IA([A-Z2-7]{16})", "an access key id of AWS", "AWS IAM, unique identifiers"),
    _rule(
        "aws-secret", "ecret_access_key ecretAccessKey SECRET_ACCESS_KEY",
        r"(?i:secret_?access_?key)[\"'\s:=]{1,6}([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        "a secret access key of AWS", "AWS CLI, credentials file", lead=1, chance=4.0,
    ),
    _rule(
        "github", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_([A-Za-z0-9]{36})", "a token of GitHub",
        "GitHub, token formats",
    ),
    _rule(
        "github-fine", "github_pat_", r"github_pat_([A-Za-z0-9]{22}_[A-Za-z0-9]{59})",
        "a fine-grained token of GitHub", "GitHub, token formats",
    ),
    _rule(
        "gitlab", "glpat- gldt- glrt- glcbt- glptt- glft- glagent- gloas- glsoat-",
        r"gl(?:pat|dt|rt|cbt|ptt|ft|agent|oas|soat)-([A-Za-z0-9_-]{20,64})", "a token of GitLab",
        "GitLab, token overview (prefixes)",
    ),
    _rule(
        "slack", "xoxb- xoxp- xoxa- xoxr- xoxe- xapp-",
        r"x(?:ox[abpre]|app)-((?:[0-9A-Z]{1,20}-){1,3}[A-Za-z0-9-]{20,120})", "a token of Slack", "Slack, token types",
    ),
    _rule(
        "slack-webhook", "hooks.slack.com/services/",
        r"hooks\.slack\.com/services/(T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{24})",
        "the address of a Slack webhook", "Slack, incoming webhooks",
    ),
    _rule(
        "google-key", "AIza", r"AIza([A-Za-z0-9_-]{35})", "an API key of Google", "Google Cloud, API keys", chance=3.5,
    ),
    _rule(
        "google-oauth", "GOCSPX-", r"GOCSPX-([A-Za-z0-9_-]{28})", "a client secret of Google", "Google, OAuth clients",
    ),
    _rule(
        "jwt", "eyJ", r"(eyJ[A-Za-z0-9_-]{14,2000}\.eyJ[A-Za-z0-9_-]{14,4000}\.[A-Za-z0-9_-]{20,1400})",
        "a signed token (JWT)", "RFC 7519", chance=4.0,
    ),
    _rule(
        "stripe", "sk_live_ rk_live_", r"[sr]k_live_([A-Za-z0-9]{24,120})", "a live key of Stripe", "Stripe, API keys",
    ),
    _rule("npm", "npm_", r"npm_([A-Za-z0-9]{36})", "a token of npm", "npm, access tokens", chance=3.5),
    _rule(
        "pypi", "pypi-AgEI", r"pypi-(AgEI[A-Za-z0-9_-]{60,400})", "a token of PyPI", "PyPI, API tokens", chance=3.5,
    ),
    _rule(
        "sendgrid", "SG.", r"SG\.([A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})", "an API key of SendGrid",
        "SendGrid, API keys", chance=3.5,
    ),
    _rule(
        "anthropic", "sk-ant-", r"sk-ant-([a-z]{3,8}[0-9]{2}-[A-Za-z0-9_-]{80,120})", "an API key of Anthropic",
        "Anthropic, API keys",
    ),
    _rule(
        "openai", "T3BlbkFJ", r"sk-((?:[a-z]{4,10}-)?[A-Za-z0-9_-]{20,80}T3BlbkFJ[A-Za-z0-9_-]{20,80})",
        "an API key of OpenAI", "OpenAI, API keys", lead=96,
    ),
    _rule("docker", "dckr_pat_", r"dckr_pat_([A-Za-z0-9_-]{27})", "a token of Docker Hub", "Docker, access tokens"),
    _rule(
        "digitalocean", "dop_v1_ doo_v1_ dor_v1_", r"do[opr]_v1_([a-f0-9]{64})", "a token of DigitalOcean",
        "DigitalOcean, API tokens",
    ),
    _rule("vault", "hvs. hvb.", r"hv[sb]\.([A-Za-z0-9_-]{80,300})", "a token of Vault", "Vault, tokens", chance=3.5),
    _rule(
        "azure-storage", "AccountKey=", r"AccountKey=([A-Za-z0-9+/]{86}==)", "the key of an Azure storage account",
        "Azure Storage, connection strings", chance=4.0,
    ),
    _rule(
        "age", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1([QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58})",
        "a secret key of age", "age v1, native X25519 keys",
    ),
    _rule(
        "url", "://", rf"(?:{_SCHEMES})://[A-Za-z0-9._~+-]{{1,64}}:([^\s:/@\"'<>{{}}()$%*\x00-\x1f\x7f-\xff\[\]\\]{{6,128}})"
        r"@(?!example|localhost|127\.|host[:/])[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*", "a password in a URL",
        "RFC 3986, 3.2.1", lead=16, chance=2.5,
    ),
    _rule(
        "password", "assword assphrase ASSWORD", r"(?i:pass(?:word|phrase))[\"']?[ \t]{0,3}[:=][ \t]{0,3}[\"']"
        r"((?=[!-~]{0,40}[0-9])(?=[!-~]{0,40}[A-Za-z])[!#-&(-~]{8,64})[\"']", "a password next to its name",
        "a quoted value after `password =` or `password:`", lead=1,
    ),
)  # fmt: skip
"""What is looked for; docs/reference/leaks.md is their table."""


_ASSIGNED = re.compile(
    rb"(?i)(?:passw|passphrase|secret|token|api_?key|private_?key|credential)[\w.-]{0,40}[\"']?\s{0,2}[:=]\s{0,2}[\"']?"
    rb"(?!\xe2\x80\xa6)([^\s\"']{3,})"
)
"""What stands behind the name of a secret is hidden wherever a text is shown, secret or not."""


def masked(text: str) -> str:
    """Mask every secret in a text, but show its length."""
    blob = text.encode(errors="surrogateescape")
    for rule in RULES:
        if any(anchor in blob for anchor in rule.anchors):
            blob = rule.shape.sub(shown, blob)
    blob = _ASSIGNED.sub(shown, blob)
    return blob.decode(errors="replace")


def shown(found: re.Match[bytes]) -> bytes:
    """Mask a secret for display."""
    whole, start = found.group(), found.start()
    before, behind = whole[: found.start(1) - start], whole[found.end(1) - start :]
    return before + f"…({len(found.group(1))} characters)".encode() + behind


def token_in(text: str) -> str:
    """Name the kind of secret that a text has by its form, such as `a token of GitHub`; empty where it has none."""
    blob = text.encode(errors="surrogateescape")
    for rule in RULES:
        for anchor in rule.anchors:
            at = blob.find(anchor)
            while at >= 0:
                if rule.found(blob, at):
                    return rule.what
                at = blob.find(anchor, at + 1)
    return ""


_TELLING = re.compile(
    r"(?i)(?!.*(?:ur[il]|path|file|dir|name|endpoint|host|header|ttl|timeout|expiry|type|prefix|length|env)$)"
    r".*(?:passw|passphrase|secret|token|api_?key|private_?key|credential|dsn$)"
)


def named_like_a_secret(name: str) -> bool:
    """Report whether a variable is named as secrets are: `main.apiToken`, `DB_PASSWORD`; `TOKEN_URL` is not."""
    return bool(_TELLING.match(name))


def chance_of(secret: bytes) -> float:
    """Measure bits a character (Shannon), by the text's own letters."""
    counts = Counter(secret).values()
    return -sum(count / len(secret) * math.log2(count / len(secret)) for count in counts)
