"""What an admission webhook would say of manifests."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from wherry.app.admission.trial import TriedObject
from wherry.counted import counted
from wherry.report.terminal import printable

SCHEMA = "wherry.admission/1"
_WORDS = {"admit": "admitted", "warn": "admitted with a warning", "audit": "admitted, logged", "refuse": "refused"}


def lines_of(tried: Sequence[TriedObject]) -> Iterator[str]:
    """Write the verdicts."""
    for one in tried:
        word = _WORDS.get(one.reviewed.decision, "no images")
        yield printable(f"{one.request.kind} {one.request.namespace}/{one.request.name}: {word}")
        for verdict in one.reviewed.verdicts:
            state = "ok" if verdict.accepted else verdict.mode.value
            yield printable(
                f"  {state}  {verdict.message if verdict.judged.detail else _accepted(one, verdict.use.path)}"
            )
        if not one.reviewed.verdicts and not one.reviewed.answer.allowed:
            yield printable(f"  {one.reviewed.answer.message}")
    refused = sum(not one.reviewed.answer.allowed for one in tried)
    yield f"{counted(len(tried), 'object')}, {refused} refused"


def _accepted(tried: TriedObject, path: str) -> str:
    verdict = next(one for one in tried.reviewed.verdicts if one.use.path == path)
    pinned = " (pinned by the mutating hook)" if path in tried.pinned else ""
    return f"{verdict.use.what}: {verdict.use.text}{pinned}: accepted by {verdict.policy}"


def document(tried: TriedObject) -> Mapping[str, object]:
    """Give the values of one object."""
    return {
        "schema": SCHEMA,
        "file": tried.file,
        "kind": tried.request.kind,
        "namespace": tried.request.namespace,
        "name": tried.request.name,
        "decision": tried.reviewed.decision,
        "message": tried.reviewed.answer.message,
        "warnings": list(tried.reviewed.answer.warnings),
        "images": [
            {
                "what": one.use.what,
                "image": one.use.text,
                "digest": one.judged.digest,
                "reason": one.judged.reason.value,
                "detail": one.judged.detail,
                "policy": one.policy,
                "mode": one.mode.value,
            }
            for one in tried.reviewed.verdicts
        ],
    }


def json_line(record: Mapping[str, object], now: float) -> str:
    """Write what a server logs as a line of JSON."""
    return json.dumps({"time": round(now, 3), **record}, ensure_ascii=False)


def _value(key: str, value: object) -> str:
    if key == "expires" and isinstance(value, int | float):
        return f"expires {datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M} UTC"
    return str(value)


def plain_lines(record: Mapping[str, object]) -> Iterator[str]:
    """Write what a server logs for people."""
    if "event" in record:
        yield printable("  ".join(_value(key, value) for key, value in record.items()))
        return
    words = [record["decision"], record["endpoint"], record.get("namespace"), record.get("kind"), record.get("name")]
    yield printable("  ".join([*(str(word) for word in words if word), f"{record['seconds']} s"]))
    images = record.get("images")
    for row in images if isinstance(images, list) else ():
        detail = f": {row['detail']}" if row["detail"] else ""
        yield printable(f"    {row['reason']}  {row['what']}: {row['image']}{detail}")
