"""Advice about secrets in ARG, ENV and LABEL that BuildKit's check, which knows whole words only, does not see."""

import re
from collections.abc import Iterator

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.stages import Advised
from wherry.dockerfile.lint_stage import is_secret_name

_NAME = re.compile(
    r"(?:apikey|accesskey|authtoken|credentials?|passphrase|passwd|password|privatekey|secret|secretkey|token)$"
    r"|(?:^|[_-])(?:creds|pass|pat|pwd|pswd|psw|sas)$",
    re.IGNORECASE,
)
_HARMLESS_NAME = re.compile(r"(?:^|[_-])(?:public|no|max|min|use|allow|enable|disable|require|skip)[_-]", re.IGNORECASE)
_HARMLESS_VALUE = re.compile(r"|true|false|yes|no|on|off|none|null|\d{1,4}|changeme|[./].*|.*\$.*", re.IGNORECASE)
_TOKENS = (
    ("a key id of AWS", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a token of GitHub", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22,})")),
    ("a token of GitLab", re.compile(r"\bglpat-[\w-]{20,}")),
    ("a token of npm", re.compile(r"\bnpm_[A-Za-z0-9]{36}\b")),
    ("a token of PyPI", re.compile(r"\bpypi-AgEIcHlwaS5vcmc[\w-]{20,}")),
    ("a token of Slack", re.compile(r"\bxox[abeoprs]-[\w-]{10,}")),
    ("a live key of Stripe", re.compile(r"\b[rs]k_live_[A-Za-z0-9]{16,}")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("a URL with a password", re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s:/@$]+:[^\s:/@$]+@[\w.-]+")),
)


def judge_secrets(file: Advised) -> None:
    """Find secrets by the names of variables and by their values, in each stage."""
    for instruction in file.file.preamble:
        _arguments(file, instruction)
    for stage in file.wanted:
        for one in stage.stage.instructions:
            match one:
                case of.Arg():
                    _arguments(file, one)
                case of.Env() | of.Label():
                    for pair in one.pairs:
                        _judge(file, one, pair.name, pair.value)
                case of.Run():
                    for what in _tokens("\n".join((one.text, *(doc.text for doc in one.command.heredocs)))):
                        file.add("secret-in-arg-or-env", one, f"RUN contains {what}")


def _arguments(file: Advised, one: of.Arg) -> None:
    for argument in one.arguments:
        _judge(file, one, argument.name, argument.value)


def _judge(file: Advised, one: of.Arg | of.Env | of.Label, name: str, value: str | None) -> None:
    word = one.word.upper()
    for what in _tokens(value or ""):
        file.add("secret-in-arg-or-env", one, f"{word} {name} is {what}")
        return
    if isinstance(one, of.Label) or is_secret_name(name) or not _named_like_one(name):
        return
    if value is None or not _HARMLESS_VALUE.fullmatch(value.strip("\"'")):
        file.add("secret-in-arg-or-env", one, f"{word} {name} is named like a secret")


def _named_like_one(name: str) -> bool:
    return name.upper() not in ("PWD", "OLDPWD") and bool(_NAME.search(name)) and not _HARMLESS_NAME.search(name)


def _tokens(text: str) -> Iterator[str]:
    if len(text) > 15:  # noqa: PLR2004 - no token is shorter
        for what, pattern in _TOKENS:
            if pattern.search(text):
                yield what
