"""`[trust]` of wherry.toml: which images must be signed, and by whom, before they are pulled, run or built on.

[trust]
require = "release.pub"      # every image of a registry, by this key; or rules, of which the first that fits counts:
require = [
  { images = "registry.example/team/**", keys = ["release.pub"] },
  { images = "docker.io/library/*", identity = "…", issuer = "…", trusted-root = "root.json" },
]
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from wherry.settings.readers import FilePosition, UnsuitableValue, read_pairs, read_table, read_text, read_texts

_KEYS: Final = ("require", "modules")
_MODULES: Final = ("sumdb", "vendor+sumdb")
_RULE_KEYS: Final = ("images", "keys", "identity", "identity-regexp", "issuer", "trusted-root", "annotations")


@dataclass(frozen=True, slots=True)
class SignatureRule:
    """Who must have signed some images."""

    images: str = "**"
    """A pattern of registry and repository: `*` is any text without a slash, `**` any text."""
    keys: tuple[str, ...] = ()
    """As for `--key`; paths are relative to the file."""
    identity: str = ""
    identity_pattern: str = ""
    issuer: str = ""
    trusted_root: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    def fits(self, name: str) -> bool:
        """Report whether the rule is for `registry/repository`."""
        parts = (
            ".*" if part == "**" else "[^/]*" if part == "*" else re.escape(part)
            for part in re.split(r"(\*\*|\*)", self.images)
        )
        return re.fullmatch("".join(parts), name) is not None


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """What has to hold of images before they are used."""

    require: tuple[SignatureRule, ...] = ()
    modules: str = ""
    """What a build of a Go module verifies first: `sumdb`, `vendor+sumdb`; empty: nothing."""

    def rule_for(self, name: str) -> SignatureRule | None:
        """Give the first rule that is for an image; None: it needs no signature."""
        return next((rule for rule in self.require if rule.fits(name)), None)


def read_trust(place: FilePosition, value: object) -> TrustSettings:
    """Read the table `[trust]`.

    Raises:
        WrongKey: a key is unknown or its value does not fit; line and key are named.
    """
    table = read_table(place, value, "[trust]")
    for key in table:
        if key not in _KEYS:
            raise place.below(key).wrong("is unknown", "the keys are " + ", ".join(_KEYS))
    modules = _modules(place.below("modules"), table.get("modules", ""))
    if "require" not in table:
        return TrustSettings(modules=modules)
    below, said = place.below("require"), table["require"]
    if isinstance(said, str):
        return TrustSettings((SignatureRule(keys=(said,)),), modules)
    if not isinstance(said, list) or not said:
        raise below.wrong("is neither a key nor a list of rules", 'write it as require = "release.pub"')
    return TrustSettings(tuple(_rule(below, row) for row in said), modules)


def _modules(place: FilePosition, value: object) -> str:
    if value != "" and value not in _MODULES:
        raise place.wrong(
            "is not a way to verify modules", f'write it as modules = "{_MODULES[-1]}", or "{_MODULES[0]}"'
        )
    return str(value)


def _rule(place: FilePosition, value: object) -> SignatureRule:
    example = '{ images = "registry.example/**", keys = ["release.pub"] }'
    row = read_table(place, value, example)
    for key in row:
        if key not in _RULE_KEYS:
            near = difflib.get_close_matches(key, _RULE_KEYS, n=1)
            raise place.wrong(f"has an unknown key {key!r}", f"did you mean {near[0]}?" if near else _known())

    def said(key: str, default: str = "") -> str:
        return read_text(place, row[key]) if key in row else default

    try:
        rule = SignatureRule(
            images=said("images", "**"),
            keys=read_texts(place, row["keys"]) if "keys" in row else (),
            identity=said("identity"),
            identity_pattern=said("identity-regexp"),
            issuer=said("issuer"),
            trusted_root=said("trusted-root"),
            annotations=dict(read_pairs(place, row.get("annotations", {}))),
        )
    except UnsuitableValue as error:
        raise place.wrong(str(error), f"write a rule as {example}") from None
    if not rule.keys and not (rule.issuer and rule.trusted_root and (rule.identity or rule.identity_pattern)):
        raise place.wrong("has a rule that names no signer", "add keys, or identity, issuer and trusted-root")
    return rule


def _known() -> str:
    return "the keys are " + ", ".join(_RULE_KEYS)
