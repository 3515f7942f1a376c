"""`wherry check IMAGE --policy` and `wherry policy test`."""

import json

import pytest

from built_images import file, put_layers
from cli_shell import Shell
from vulnerable import program, write_database
from wherry.oci.config import RuntimeConfig

pytestmark = pytest.mark.slow

POLICY = """[[rule]]
name = "signed"
signed-by = ["keys/release.pub"]

[[rule]]
name = "bare"
non-root = true
no-shell = true
max-unpacked = "20MB"

[[rule]]
name = "holes"
no-known-hole-above = "package"
"""


@pytest.fixture
def wherry(tmp_path):
    """A shell with an image that has holes, a key, and the policy."""
    shell = Shell(tmp_path)
    write_database(tmp_path / "osv")
    content = program("-trimpath", "-ldflags=-s -w").read_bytes()
    accounts = file("etc/passwd", b"root:x:0:0::/:/x\napp:x:1000:1000::/:/x\n")
    image = put_layers(
        shell.store, [[file("app", content, 0o755), accounts]], RuntimeConfig(user="app", labels={"a": "b"})
    )
    shell.store.tag("app:dev", image)
    (tmp_path / "policies" / "keys").mkdir(parents=True)
    shell("keys", "new", "-o", "policies/keys/release", "--no-password")
    shell.write("policies/policy.toml", POLICY)
    return shell


def judged(shell, code):
    """Judge the image, and give each rule's answer."""
    shell("check", "app:dev", "--policy", "policies/policy.toml", "--db", "osv", "--json", code=code)
    document = json.loads(shell.out)
    return {one["name"]: one["holds"] for one in document["rules"]}, document


def test_an_image(wherry):
    """Evidence is gathered, each rule judged, and the exit code says whether all hold."""
    answers, document = judged(wherry, 1)
    assert answers == {"signed": False, "bare": True, "holes": False}
    assert document["evidence"]["platforms"][0]["uid"] == 1000

    wherry("sign", "--key", "policies/keys/release.key", "app:dev")
    write_database(wherry.root / "none", [])
    answers, _ = judged(wherry, 1)
    assert answers["signed"] is True
    lines = wherry("check", "app:dev", "--policy", "policies/policy.toml", "--db", "osv", code=1)
    assert lines[-1].strip().startswith("refused: 1 of 3 rules")


def test_without_a_database(wherry):
    """Then it is not known whether there are holes, and the image is not allowed."""
    wherry("check", "app:dev", "--policy", "policies/policy.toml", "--offline", "--json", code=1)
    document = json.loads(wherry.out)
    (rule,) = (one for one in document["rules"] if one["name"] == "holes")

    assert rule["holds"] is None
    assert "no copy of this vulnerability database" in rule["reason"]


def test_cases(wherry):
    """A policy is tested by evidence alone; what is printed as JSON can be taken as it is."""
    _, document = judged(wherry, 1)
    wherry.write("cases.toml", """[[case]]
name = "not signed"
expect = "fail"
fails = ["signed"]
evidence = { platforms = [{ platform = "linux/amd64", uid = 1, shells = [], unpacked = 5 }], holes = [] }

[[case]]
name = "signed and bare"
expect = "pass"
[case.evidence]
platforms = [{ platform = "linux/amd64", uid = 1, shells = [], unpacked = 5 }]
signatures = [{ keys = ["keys/release.pub"], answer = "signed" }]
holes = []
""")  # fmt: skip
    assert wherry("policy", "test", "policies/policy.toml", "cases.toml")[-1].strip() == "2 cases, all as expected"

    wherry.write("wrong.toml", '[[case]]\nexpect = "pass"\n')
    lines = wherry("policy", "test", "policies/policy.toml", "wrong.toml", code=1)
    assert lines[-1].strip() == "1 case, 1 wrong"
    assert document["evidence"]["holes"]


@pytest.mark.parametrize(("text", "words"), [
    ("[[case]]\n", "line 1"), ('[[case]]\nexpect = "fail"\nfails = ["no such"]\n', "no rule 'no such'"),
    ('[[case]]\nexpect = "fail"\nevidence = { platforms = 3 }\n', "line 3"), ("case = 1\n", "line 1"),
])  # fmt: skip
def test_wrong_cases(wherry, text, words):
    """Each is an error with its line."""
    wherry.write("cases.toml", text)
    wherry("policy", "test", "policies/policy.toml", "cases.toml", code=78)

    assert words in wherry.err


def test_wrong_words(wherry):
    """Options of a policy and of budgets do not mix; a key that is not there is an error."""
    wherry("check", "app:dev", "--db", "osv", code=64)
    wherry("check", "--policy", "policies/policy.toml", code=64)
    wherry("check", "app:dev", "--policy", "nothing.toml", code=66)
    (wherry.root / "policies/keys/release.pub").unlink()
    wherry("check", "app:dev", "--policy", "policies/policy.toml", "--db", "osv", code=66)
