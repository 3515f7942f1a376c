"""Options of sign, verify, attest and verify-attestation, and how they become values."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from wherry.cli.options import TIMEOUT
from wherry.cli.world import World
from wherry.errors import InvalidUsage

if TYPE_CHECKING:
    from wherry.app.signing import SignedImage
    from wherry.app.verifying import VerifiedImage
    from wherry.trust.signature import WantedSigner

F = TypeVar("F", bound=Callable[..., object])

REACH = (
    click.option("-r", "--recursive", is_flag=True, help="Also each manifest of an index."),
    click.option("--insecure", is_flag=True, help="Allow plain HTTP and untrusted certificates."),
    TIMEOUT,
    click.option("--json", "as_json", is_flag=True, help="Print the same values as JSON."),
)
SIGNING = (
    click.option(
        "--key", metavar="KEY", required=True, help="Private key: a file, env://NAME, PLUGIN://RESOURCE or pkcs11:URI."
    ),
    click.option(
        "--format",
        "form",
        type=click.Choice(["old", "new", "both"]),
        default="both",
        help="old: tags that every cosign reads; new: Sigstore bundles as referrers. [default: both]",
    ),
)
SIGNER = (
    click.option(
        "--key", "keys", metavar="KEY", multiple=True, help="Public key: a file, env://NAME, or PLUGIN://RESOURCE; any."
    ),
    click.option(
        "--identity", "--certificate-identity", metavar="NAME", help="Email address or URI that must have signed."
    ),
    click.option(
        "--identity-regexp",
        "--certificate-identity-regexp",
        metavar="PATTERN",
        help="Expression that the whole identity must match.",
    ),
    click.option("--issuer", "--certificate-oidc-issuer", metavar="URL", help="OpenID provider of the identity."),
    click.option(
        "--trusted-root", metavar="FILE", help="The authorities and logs that are trusted: trusted_root.json."
    ),
    click.option(
        "-a", "--annotation", "annotations", metavar="KEY=VALUE", multiple=True, help="The signature must say this."
    ),
)


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Read KEY=VALUE words.

    Raises:
        InvalidUsage: one has no key.
    """
    read = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise InvalidUsage(f"-a {text}: no key and value", hint="write it as -a KEY=VALUE")
        read[key] = value
    return read


def wanted_signer(  # noqa: PLR0913 - one an option
    world: World,
    *,
    keys: Sequence[str],
    identity: str | None,
    identity_regexp: str | None,
    issuer: str | None,
    trusted_root: str | None,
    annotations: Sequence[str],
) -> "WantedSigner":
    """Say who must have signed.

    Raises:
        InvalidUsage: nobody is named, or an identity without its trusted root.
        NotFound: a key or the trusted root is not there.
    """
    from wherry.app.signers import wanted_signer as wanted
    from wherry.trust.signature import SignerNames

    names = SignerNames(
        keys=tuple(keys),
        identity=identity or "",
        pattern=identity_regexp or "",
        issuer=issuer or "",
        trusted_root=trusted_root or "",
    )
    return wanted(world, names, world.cwd, pairs(annotations))


def allow_insecure(world: World, image: str, *, insecure: bool) -> None:
    """Let the registry of an image speak plain HTTP, if asked."""
    if insecure:
        from wherry.app.transfer import trust

        trust(world, image)


def say_signed(world: World, signed: "Sequence[SignedImage]", *, as_json: bool) -> None:
    """Print what was signed."""
    if as_json:
        rows = [{"name": one.name, "digest": str(one.digest), "formats": list(one.formats)} for one in signed]
        world.say(json.dumps({"version": 1, "key": signed[0].key.fingerprint, "images": rows}, indent=2))
        return
    for one in signed:
        world.say(one.name)


def say_verified(world: World, verified: "Sequence[VerifiedImage]", *, as_json: bool, statements: bool = False) -> int:
    """Print answers; give the exit code, which is of the first image that is not signed as it should be."""
    from wherry.app.verifying import EXIT_CODES, NotVerified
    from wherry.report.terminal import printable
    from wherry.trust.signature import SignatureAnswer

    bad = [one for one in verified if one.answer is not SignatureAnswer.SIGNED]
    if as_json:
        rows = [_row(one, statements=statements) for one in verified]
        world.say(json.dumps({"version": 1, "images": rows}, indent=2))
        return EXIT_CODES[bad[0].answer] if bad else 0
    if bad:
        raise NotVerified(bad[0], statements=statements)
    for one in verified:
        for good in one.good:
            said = "".join(f"  {key}={text}" for key, text in good.annotations.items())
            world.note(printable(f"{one.answer}  by {good.signer}  {good.form}{said}"))
        world.say(one.name)
    return 0


def _row(one: "VerifiedImage", *, statements: bool) -> dict[str, object]:
    return {
        "name": one.name,
        "digest": str(one.digest) if one.root.size else "",
        "answer": one.answer.value,
        "signatures": [
            {
                "format": signature.form.value,
                "digest": signature.digest,
                "reason": signature.reason.value,
                "problem": signature.problem,
                "signer": signature.signer,
                "annotations": dict(signature.annotations),
                **(
                    {"statement": json.loads(signature.statement.encoded())}
                    if statements and signature.statement is not None
                    else {}
                ),
            }
            for signature in one.signatures
        ],
        "failures": [error.message for error in one.failures],
    }
