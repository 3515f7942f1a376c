"""What a build says at its end, and what it says where a step can't be done: words that fit builds."""

import pytest

from dockerfile.theirs import build, context

pytestmark = pytest.mark.slow


@pytest.fixture
def root(persons):
    """One user is enough: words do not hang on ids."""
    return persons["root"]


def test_build_checks_are_shown_at_the_end(root):
    """Those of what was built, with lines; a wildcard below a folder that matches nothing is among them."""
    text = """FROM busybox AS other
MAINTAINER me
FROM busybox
COPY d/no*.txt /x/
COPY none* a* d/a /y/
COPY --from=busybox /etc/no*.d /z/
CMD echo hi
"""
    folder = context(root, "warned", text, a="a", **{"d/a": "a"})

    for _ in range(2):
        lines = build(root, folder, "--build-arg", "changed=1").stderr.splitlines()
        start = next(number for number, line in enumerate(lines) if "warnings found" in line)

        assert lines[start].strip() == "4 warnings found (`wherry lint` says what to do)"
        assert [line.strip().split(": ")[:2] for line in lines[start + 1 :]] == [
            ["warned/Dockerfile:2", "MaintainerDeprecated"],
            ["warned/Dockerfile:4", "CopyMatchesNothing"],
            ["warned/Dockerfile:6", "CopyMatchesNothing"],
            ["warned/Dockerfile:7", "JSONArgsRecommended"],
        ]
        (folder / "b").write_text("a change outside of what is copied")


def test_a_folder_that_docker_does_not_send(root):
    """A wildcard in a folder that matches nothing is refused, as docker build does, if no step copies from there."""
    refused = build(root, context(root, "sent", "FROM scratch\nCOPY d/no* /x/\nCOPY no* /y/\n", **{"d/a": "a"}))
    allowed = build(root, context(root, "sent", "FROM scratch\nCOPY d/no* /x/\nCOPY d/a /y/\n", **{"d/a": "a"}))

    assert refused.returncode == 65
    assert 'Dockerfile:2: "/d/no*": no file of the context matches, and no step copies another of /d' in refused.stderr
    assert allowed.returncode == 0


def test_build_arguments_that_nothing_declares(root):
    """Each is named, where nothing changed too; what every build knows is not."""
    folder = context(root, "unused", "ARG VERSION=1\nFROM scratch\nARG HOME_PAGE\nCOPY a /a\n", a="a")
    words = ["--build-arg", "VERSOIN=2", "--build-arg", "HTTP_PROXY=http://127.0.0.1:9", "--build-arg", "HOME_PAGE=x"]

    for _ in range(3):
        lines = [line.strip() for line in build(root, folder, *words).stderr.splitlines() if "--build-arg" in line]
        assert lines == [
            (
                "warning: --build-arg VERSOIN: no ARG of unused/Dockerfile has this name, so its value is not used "
                "(did you mean VERSION?)"
            )
        ]


def test_nothing_to_warn_of(root):
    """Then nothing is shown."""
    assert "found" not in build(root, context(root, "quiet", "FROM busybox\nCOPY a* /x/\n", a="a")).stderr


@pytest.mark.parametrize(
    ("text", "words", "never"),
    [
        ("FROM scratch\nCOPY a /a\nRUN true\n", ("the image has no /bin/sh", 'RUN ["/path'), ("--entrypoint",)),
        ('FROM busybox\nRUN ["nothing"]\n', ("name a program that the image has by then",), ("--entrypoint",)),
        ("FROM busybox\nUSER nemo\nRUN true\n", ("'nemo'", "USER 1000:1000"), ("--user",)),
        ("ARG BASE\nFROM ${BASE}\n", ("BASE has no value", "--build-arg BASE=VALUE"), ()),
        ("FROM ${REGISTRY}/busybox\n", ("REGISTRY has no value", "ARG REGISTRY=VALUE"), ()),
        (
            "FROM busybox AS builder\nFROM scratch\nCOPY --from=biulder /etc /etc\n",
            ("did you mean builder?", "docker.io/library/biulder"),
            ("registry",),
        ),
        ("FROM scratch\nADD http://127.0.0.1:9/x /\n", ("can't be reached: Connection refused",), ("object at", "Max")),
        ("FROM scratch\nADD http://nowhere.invalid/x /\n", ("its host is not known",), ("object at", "Max")),
    ],
)
def test_words_fit_a_build(root, text, words, never):
    """The file with its line, what is wrong there, and what to write in a Dockerfile."""
    done = build(root, context(root, "wrong", text, a="a"))

    assert done.returncode != 0
    assert "wrong/Dockerfile:" in done.stderr
    for word in words:
        assert word in done.stderr
    for word in never:
        assert word not in done.stderr


def test_too_few_open_files(root):
    """The limit that was given is what to raise; nothing is said of a shell."""
    done = build(root, context(root, "few", "FROM busybox\nRUN true\n"), "--ulimit", "nofile=10")

    assert done.returncode != 0
    assert "hint: the step may open too few files: raise --ulimit nofile" in done.stderr


def test_the_disk_is_asked_before_a_step(root):
    """A step that would leave too little is not begun; how much that is can be said."""
    folder = context(root, "room", "FROM busybox\nRUN echo begun\n")
    words = ["build", "--build-context", f"busybox=oci-layout://{root.home / 'busybox'}", "--progress", "plain", "room"]

    refused = root.run("--min-free", "100000GB", *words)
    done = root.run("--min-free", "0", *words)

    assert refused.returncode == 74
    assert "--min-free" in refused.stderr
    assert "| begun" not in refused.stderr
    assert "| begun" in done.stderr
    assert folder.is_dir()
