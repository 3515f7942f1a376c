"""`.dive-ci` files, as dive reads them."""

import json

import pytest

from needs import corpus
from wherry.errors import InvalidSettings
from wherry.settings.dive_ci import DiveRules, parse_dive_ci

OWN = """---
plugins:
  - plugin1

rules:
  # If the efficiency is measured below X%, mark as failed.
  lowestEfficiency: 0.95
  highestWastedBytes: 20Mb
  highestUserWastedPercent: 0.5

  plugin1/rule1: error
"""


def test_dives_own_file():
    """Other keys are ignored; sizes are decimal."""
    assert parse_dive_ci(OWN) == DiveRules(0.95, 20_000_000, 0.5)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", DiveRules(0.9, None, 0.1)),
        ("rules:\n", DiveRules(0.9, None, 0.1)),
        ("rules:\n  lowestEfficiency: disabled\n  highestUserWastedPercent: disabled\n", DiveRules(None, None, None)),
        ("RULES:\n  LOWESTEFFICIENCY: '1'\n", DiveRules(1.0, None, 0.1)),
        ("rules:\n  highestWastedBytes: 1.5 KiB\n", DiveRules(0.9, 1536, 0.1)),
        ("rules:\n  highestWastedBytes: 12\n", DiveRules(0.9, 12, 0.1)),
        ("rules:\n  highestWastedBytes: '1,000 k'\n", DiveRules(0.9, 1_000_000, 0.1)),
    ],
)
def test_values(text, rules):
    """What is not there has dive's default; `disabled` turns a rule off."""
    assert parse_dive_ci(text) == rules


@pytest.mark.parametrize(
    "text",
    [
        "rules: [1]", "rules: 5", "- a", "rules:\n  lowestEfficiency: 1.1", "rules:\n  lowestEfficiency: nan",
        "rules:\n  highestWastedBytes: 5 parsecs", "rules:\n  highestUserWastedPercent: -0.1", "a: b: c",
        "x: !!python/name:os.system",
        "rules: {lowestEfficiency: [0.9]}", "rules:\n  highestWastedBytes: ''",
    ],
)  # fmt: skip
def test_what_is_refused(text):
    """With the file's name, and the rule where there is one."""
    with pytest.raises(InvalidSettings) as caught:
        parse_dive_ci(text, "my.dive-ci")
    assert caught.value.message.startswith("my.dive-ci: ")


def test_rules_of_dives_tests():
    """Those that dive calls misconfigured are refused."""
    for line in corpus("dive.jsonl").read_text().splitlines():
        case = json.loads(line)
        if case["kind"] != "ci_rules":
            continue
        text = json.dumps({"rules": case["rules"]})
        if case["expected"].get("config_error"):
            with pytest.raises(InvalidSettings):
                parse_dive_ci(text)
        else:
            assert parse_dive_ci(text)
