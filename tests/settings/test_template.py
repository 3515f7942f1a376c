"""Templates name values and do nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import InvalidUsage
from wherry.settings.template import NAMES, as_fields, expand, names, words_of

FACTS = {"Version": "1.2.3", "Git.ShortCommit": "abc1234"}
ENVIRONMENT = {"USER_NAME": "{{.Version}}", "EMPTY": ""}


def expanded(template: str) -> str:
    """Expand with a few facts."""
    return expand(template, FACTS, ENVIRONMENT, where="--ldflags", absent="the folder is in no git checkout")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("-s -X main.version={{.Version}}", "-s -X main.version=1.2.3"),
        ("{{ .Version }}-{{.Git.ShortCommit}}", "1.2.3-abc1234"),
        ("{{\t.Version\n}}", "1.2.3"),
        ("-X a={{.Env.EMPTY}}", "-X a="),
        ('-X a={{index .Env "USER_NAME"}}', "-X a={{.Version}}"),
        ('-X a={{ index .Env "MISSING" }}', "-X a="),
        ("a}}b {c} $d", "a}}b {c} $d"),
        ("", ""),
    ],
)
def test_names_become_values(template, text):
    """Spaces inside the braces do not matter; all else stays."""
    assert expanded(template) == text


def test_a_value_is_not_expanded_again():
    """What the environment says is text, whatever it looks like."""
    assert expanded("{{.Env.USER_NAME}}") == "{{.Version}}"


@pytest.mark.parametrize(
    ("template", "nearest"),
    [("{{.Versoin}}", "{{.Version}}"), ("{{.Git.Shortcommit}}", "{{.Git.ShortCommit}}"), ("{{.X}}", "{{.Version}}")],
)
def test_an_unknown_name_has_its_nearest(template, nearest):
    """A slip costs one look."""
    with pytest.raises(InvalidUsage) as caught:
        expanded(template)

    assert nearest in caught.value.hint
    assert caught.value.message.startswith("--ldflags: ")


@pytest.mark.parametrize(
    "template",
    [
        "{{.Version | printf}}",
        "{{if .Version}}x{{end}}",
        '{{index .Git "A"}}',
        '{{or (index .Env "A") "b"}}',
        "{{- .Version -}}",
        "{{}}",
        "{{.}}",
        "{{Version}}",
        "{{.Version",
        "{{.Version}} {{",
        "{{.Env.A.B}}",
        "{{.Env}}",
    ],
)
def test_more_than_a_name_is_refused(template):
    """Go's template language is not spoken here, and silence would put braces into the binary."""
    with pytest.raises(InvalidUsage):
        expanded(template)


def test_a_value_that_is_not_there_says_why():
    """Without git there is no tag."""
    with pytest.raises(InvalidUsage) as caught:
        expanded("{{.Tag}}")

    assert "the folder is in no git checkout" in caught.value.message


def test_a_variable_that_is_not_set_is_named():
    """An empty version by accident is worse than an error."""
    with pytest.raises(InvalidUsage) as caught:
        expanded("{{.Env.NOT_SET}}")

    assert "NOT_SET" in caught.value.message


def test_names_are_known_before():
    """The pipeline asks which facts it has to gather."""
    asked = names("{{.Version}} {{ .Env.CI }} {{.Version}}", "--ldflags")

    assert asked == {"Version", "Env.CI"}
    assert not names("-s -w", "--ldflags")


@settings(max_examples=60)
@given(st.text(alphabet="{}.- aVersion|", max_size=40))
def test_any_text_is_expanded_or_refused(text):
    """There is no third way, and what has no braces comes back as it is."""
    try:
        result = expand(text, dict.fromkeys(NAMES, "V"), {}, where="x", absent="")
    except InvalidUsage:
        assert "{{" in text
    else:
        assert "{{" in text or result == text


def test_words():
    """A list of tags is split outside of templates only."""
    assert words_of('a,b {{ .Env.C }},{{index .Env "D"}}-x') == ("a", "b", "{{ .Env.C }}", '{{index .Env "D"}}-x')


def test_as_fields():
    """What splits at spaces keeps templates whole."""
    assert as_fields('-X a={{ .Version }} -X b={{index .Env "B"}}') == "-X a={{.Version}} -X b={{.Env.B}}"
