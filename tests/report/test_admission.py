"""What an admission server logs."""

import json

from wherry.report.admission import json_line, plain_lines

RECORD = {
    "endpoint": "validate", "decision": "refuse", "namespace": "shop", "kind": "Pod", "name": "api", "seconds": 0.5,
    "images": [{"reason": "not-signed", "what": 'container "a"', "image": "a:1\x1b[31m\nforged", "detail": "no"}],
}  # fmt: skip


def test_for_people():
    """A line a decision, one an image, and nothing that a terminal obeys or that forges a line."""
    lines = list(plain_lines(RECORD))

    assert lines[0] == "refuse  validate  shop  Pod  api  0.5 s"
    assert len(lines) == 2
    assert "\x1b" not in lines[1]
    assert "\n" not in lines[1]
    assert list(plain_lines({"event": "certificate", "expires": 1803740477})) == [
        "certificate  expires 2027-02-27 15:01 UTC"
    ]


def test_for_programs():
    """A line of JSON with the time."""
    line = json_line(RECORD, 1.23456)

    assert "\n" not in line
    assert json.loads(line)["time"] == 1.235
