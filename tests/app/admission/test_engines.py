"""A policy for other engines: what is written, what is said to be left out, and patterns in their languages."""

import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli_shell import Shell
from wherry.app.admission.engines.common import image_pattern, namespace_pattern
from wherry.errors import WherryError
from wherry.oci.reference import Reference
from wherry.settings.trust import SignatureRule

_PARTS = st.text("ab.-*", min_size=1, max_size=4)
_NAMES = st.lists(
    st.sampled_from(["a", "b", "a.b", "library", "docker.io", "r.example:5000", "a-b"]), min_size=1, max_size=3
)


@given(
    st.lists(_PARTS, min_size=1, max_size=3).map("/".join), _NAMES.map("/".join), st.sampled_from(["", ":1", ":v1.0-a"])
)
def test_images_as_wherry_reads_them(pattern, name, tag):
    """A pattern fits the text in a pod where wherry's own fits the name that it stands for, without tag and digest."""
    try:
        reference = Reference.parse(name + tag)
    except WherryError:
        return
    whole = f"{reference.registry}/{reference.repository}"
    for text in (name + tag, f"{name}{tag}@sha256:{'0' * 64}"):
        if SignatureRule(images=pattern).fits(whole) and (pattern.startswith("docker.io/") or whole == name):
            assert re.match(image_pattern((pattern,)), text), (pattern, text)
        if re.match(image_pattern((pattern,)), text):
            assert SignatureRule(images=pattern).fits(whole) or whole != name, (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"), [("shop-*", "shop-a", True), ("shop", "shop-a", False), ("a?", "ab", True)]
)
def test_namespaces(pattern, name, fits):
    """They are the shell's patterns, for the whole of a name."""
    assert bool(re.match(namespace_pattern((pattern, "x")), name)) is fits


@pytest.fixture
def shell(tmp_path) -> Shell:
    """A policy with a name that tries to leave its comment, and its key."""
    shell = Shell(tmp_path / "here")
    shell.environment["COSIGN_PASSWORD"] = ""
    shell("keys", "new", "-o", "release")
    shell.write(
        "policy.toml",
        '[[rule]]\nname = "signed\\nkind: Evil"\nsigned-by = ["release.pub"]\n\n'
        '[[rule]]\nname = "bare"\nnon-root = true\nno-shell = true\n\n[[rule]]\nname = "either"\n'
        "any = [{ non-root = true }, { no-shell = true }]\n",
    )
    shell.write(
        "admission.toml",
        '[[rule]]\nimages = ["registry.example/**"]\npolicy = "policy.toml"\n\n'
        '[[rule]]\nimages = ["x.example/*"]\npolicy = "policy.toml"\nmode = "audit"\n',
    )
    return shell


def documents(shell: Shell, *words: str) -> list[dict]:
    """Write the policy; give what a YAML parser reads."""
    lines = shell("admission", "policy", "--config", "admission.toml", *words)
    return list(yaml.safe_load_all("\n".join(lines)))


def test_each_engine(shell):
    """Each has documents of its kinds, and names by file and line what it can't express, on stderr and in comments."""
    kinds = {}
    for engine in ("vap", "kyverno", "gatekeeper", "policy-controller"):
        made = documents(shell, "--for", engine, "--provider", "https://wherry.example/gatekeeper")
        kinds[engine] = [one["kind"] for one in made]
        assert all(one["metadata"]["name"].startswith("wherry") for one in made)
        if engine != "gatekeeper":
            assert "policy.toml:7: non-root of the rule 'bare'" in shell.err
            assert f"# - {shell.err.splitlines()[0].strip().removeprefix('left out: ')}" in shell.out

    assert kinds == {
        "vap": ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] * 2,
        "kyverno": ["ImageValidatingPolicy"] * 2,
        "gatekeeper": ["Provider", "ConstraintTemplate", "WherryImages"],
        "policy-controller": ["ClusterImagePolicy"] * 2,
    }


def test_labels_and_names(shell):
    """`--namespaces` and `--name` are in every document that knows them."""
    policy, binding, *_ = documents(shell, "--for", "vap", "--name", "mine", "--namespaces", "team=shop")

    assert policy["metadata"]["name"] == binding["spec"]["policyName"] == "mine-enforce"
    assert binding["spec"]["matchResources"] == {"namespaceSelector": {"matchLabels": {"team": "shop"}}}
    assert json.dumps(policy).count("oldObject") == 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--for", "gatekeeper"), "give its address"),
        (("--for", "vap", "--namespaces", "x"), "not KEY=VALUE"),
        (("--for", "vap", "--ca", "none.pem"), "none.pem: not found"),
    ],
)
def test_what_goes_wrong(shell, words, said):
    """Each has its sentence."""
    assert shell.ended("admission", "policy", "--config", "admission.toml", *words) > 1
    assert said in shell.err
