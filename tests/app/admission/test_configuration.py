"""The configuration of an admission server."""

import pytest

from wherry.app.admission.configuration import AdmissionMode, parse_configuration
from wherry.errors import InvalidSettings

WHOLE = """
[[rule]]
namespaces = ["shop-*"]
images = ["registry.example/shop/*", "docker.io/**"]
policy = "shop.toml"
mode = "warn"

[[rule]]
namespaces = ["other"]
policy = "other.toml"

[[exempt]]
namespaces = ["kube-system"]
reason = "first"
"""


@pytest.mark.parametrize(("namespace", "image", "policy"), [
    ("shop-a", "registry.example/shop/api", "shop.toml"), ("shop-a", "docker.io/library/nginx", "shop.toml"),
    ("shop-a", "registry.example/shop/a/b", None), ("shop", "registry.example/shop/api", None),
    ("other", "registry.example/shop/api", "other.toml"), ("more", "docker.io/library/nginx", None),
])  # fmt: skip
def test_the_first_rule_that_fits(namespace, image, policy):
    """By namespace and by image; where none fits there is none."""
    settings = parse_configuration(WHOLE, "a.toml")
    rule = settings.rule_for(namespace, image)

    assert (rule.policy if rule else None) == policy
    assert settings.rules[0].mode is AdmissionMode.WARN
    assert settings.exemption_for("kube-system", image)
    assert not settings.exemption_for(namespace, image)


@pytest.mark.parametrize(("text", "words"), [
    ("", "rule"), ("rule = 1", "rule"), ("[[rule]]\nmode = 'warn'", "line 1"),
    ("[[rule]]\npolicy = 'a'\nmode = 'x'", "line 3"),
    ("[[rule]]\npolicy = 'a'\nmodes = 'warn'", "mode"), ("[[rule]]\npolicy = 'a'\nimages = []", "empty"),
    ("[[rule]]\npolicy = 'a'\n[[exempt]]\nnamespaces = ['a']", "reason"), ("pin = 1\n[[rule]]\npolicy = 'a'", "line 1"),
    ("[[rule]]\npolicy = 'a'\n[[exempt]]\nreason = 'a'", "everything"), ("[[rule]]\npolicy = ''", "line 2"),
    ("[[rule]]\npolicy = 'a'\n[tls]\ncertificate = 'a'", "both"),
    ("[[rule]]\npolicy = 'a'\n[tls]\nsecret = 'a'", "NAMESPACE"),
    ("[[rule]]\npolicy = 'a'\n[tls]\ncertificate = 'a'\nkey = 'b'\nsecret = 'a/b'", "files"), ("[[rule]", "line 1"),
])  # fmt: skip
def test_what_is_wrong_has_its_line(text, words):
    """The message names it."""
    with pytest.raises(InvalidSettings) as caught:
        parse_configuration(text, "a.toml")

    assert words in str(caught.value)
