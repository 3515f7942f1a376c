"""What a container rarely needs, by kind and to the byte; and what to edit so that it goes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives import file, folder
from gobuild import HELLO, go_binary
from waste_images import judged
from wherry.analysis.image.kinds import Unneeded, by_rules, unneeded
from wherry.analysis.image.remedies import HiddenBy, HistoryInstruction, remedy_for_hidden, remedy_for_kind
from wherry.analysis.image.union import Fate
from wherry.analysis.judges import CONTENT_RULES, judge_content
from wherry.finding import Severity

PLANTED = {
    Unneeded.PACKAGE_CACHE: ("var/lib/apt/lists/deb_Packages", "var/cache/apt/pkgcache.bin", "var/cache/apk/x.apk"),
    Unneeded.BUILD_CACHE: ("root/.cache/pip/a", "home/me/.npm/_cacache/b", "go/pkg/mod/cache/download/c"),
    Unneeded.TOOLCHAIN: (
        "usr/local/go/bin/go",
        "usr/include/stdio.h",
        "usr/lib/x86_64-linux-gnu/libc.a",
        "src/main.go",
    ),
    Unneeded.VCS: ("app/.git/objects/pack/p", ".git/HEAD"),
    Unneeded.TEST_DATA: ("app/testdata/x", "usr/lib/python3/dist-packages/m/tests/t.txt", "app/a_test.go"),
    Unneeded.DEBUG: ("usr/lib/debug/x", "app/program.debug"),
    Unneeded.BYTECODE: ("app/__pycache__/m.cpython-311.pyc", "app/old.pyc"),
    Unneeded.DOCS: ("usr/share/doc/pkg/README", "usr/local/share/doc/a", "usr/share/info/dir"),
    Unneeded.MAN: ("usr/share/man/man1/ls.1.gz",),
    Unneeded.LOCALES: ("usr/share/locale/de/LC_MESSAGES/a.mo", "usr/lib/locale/locale-archive"),
    Unneeded.TEMPORARY: ("tmp/x", "var/log/dpkg.log", "var/tmp/y"),
}
NEEDED = (
    "usr/share/doc/pkg/copyright", "usr/share/doc/a/LICENSE.txt", "usr/lib/locale/C.utf8/LC_CTYPE", "app/server",
    "usr/share/zoneinfo/UTC", "etc/ssl/certs/ca.pem", "usr/lib/x86_64-linux-gnu/libc.so.6", "var/lib/dpkg/status",
    "app/git", "usr/bin/test", "app/tests.json", "opt/debugger",
)  # fmt: skip


@pytest.mark.parametrize("kind", list(PLANTED))
def test_each_kind_to_the_byte(kind):
    """Planted files count under their kind and layer, and are no waste: a container sees them."""
    files = [file(path, bytes([number]) * (100 + number)) for number, path in enumerate(PLANTED[kind])]
    found = judged([file("app/server", b"s" * 5000)], files)

    (row,) = found.unneeded
    assert (row.kind, row.files) == (kind, len(files))
    assert row.bytes == sum(entry.size for entry in files)
    assert [group.layer for group in row.layers] == [2]
    assert found.waste.bytes == 0
    assert kind in {finding.rule for finding in judge_content(found)}


@pytest.mark.parametrize("path", NEEDED)
def test_what_is_needed(path):
    """Licences, zones, certificates and programs are of no kind."""
    assert unneeded(path.encode()) is None


_PARTS = (
    "usr lib local share doc copyright LICENSE Notice tmp var log apk db x.tar.gz dpkg status-old root .cache pip "
    ".git testdata go mod go.mod a_test.go x.pyc __pycache__ locale C.utf8 man src x.c Makefile include a.la "
    "x.dSYM apt lists python3 site-packages tests node_modules home me .npm debug x.debug readme.txt gz c"
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(_PARTS.split(" ")), min_size=1, max_size=7))
def test_a_folder_says_what_its_files_are(parts):
    """Asking a folder once gives what asking every rule for every file gives."""
    path = "/".join(parts).encode()

    assert unneeded(path) == by_rules(path)


def test_a_link_from_a_needed_place_keeps_a_file():
    """A file with two names is needed where either is."""
    from archives import hard

    found = judged(
        [file("usr/share/doc/x", b"d" * 10), hard("app/x", "usr/share/doc/x"), file("usr/share/doc/y", b"e")]
    )

    (row,) = found.unneeded
    assert (row.files, row.bytes) == (1, 1)


@pytest.mark.slow
def test_symbols_of_programs():
    """Symbol and debug tables of a Go program count, without what a run loads; a stripped one has next to none."""
    plain, stripped = (
        go_binary(HELLO, "-trimpath").read_bytes(),
        go_binary(HELLO, "-trimpath", "-ldflags=-s").read_bytes(),
    )

    (row,) = judged([file("app", plain, mode=0o755)]).unneeded
    assert row.kind == "debug-symbols"
    assert row.bytes == pytest.approx(len(plain) - len(stripped), rel=0.02)
    assert judged([file("app", stripped, mode=0o755)]).unneeded == ()


@pytest.mark.parametrize(
    ("created_by", "text"),
    [
        ("RUN /bin/sh -c apt-get update # buildkit", "RUN apt-get update"),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("RUN |2 A=1 B='x y' /bin/sh -c make $A # buildkit", "RUN make $A"),
        ("/bin/sh -c #(nop) COPY file:abc in /app ", "COPY file:abc in /app"),
        ("COPY --chown=1:1 . /app # buildkit", "COPY --chown=1:1 . /app"),
        ("ko build ko://example.com/app", "ko build ko://example.com/app"),
        ("", ""),
    ],
)
def test_instructions_of_the_history(created_by, text):
    """BuildKit's form, and the one before it."""
    assert HistoryInstruction.of(created_by).text == text


@pytest.mark.parametrize(
    ("kind", "created_by", "after"),
    [
        (Unneeded.PACKAGE_CACHE, "RUN /bin/sh -c apk add curl # buildkit", "RUN apk add --no-cache curl"),
        (Unneeded.BUILD_CACHE, "RUN /bin/sh -c pip install x # buildkit", "RUN pip install --no-cache-dir x"),
        (
            Unneeded.PACKAGE_CACHE,
            "RUN /bin/sh -c apt-get update && apt-get install -y curl # buildkit",
            "RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*",
        ),
        (Unneeded.VCS, "COPY . /app # buildkit", "COPY --exclude=**/.git . /app"),
    ],
)
def test_edits(kind, created_by, after):
    """An edit is the instruction as it should be."""
    remedy = remedy_for_kind(kind, created_by, ["/var/lib/apt/lists"], base=False)

    assert remedy.after == after
    assert remedy.before == HistoryInstruction.of(created_by).text
    assert not remedy_for_kind(kind, created_by, ["/x"], base=True).after


def test_an_edit_quotes_what_a_shell_would_read():
    """A path with a space or a quote is one word."""
    remedy = remedy_for_kind(Unneeded.MAN, "RUN /bin/sh -c make", ["/usr/share/man/a b; reboot"], base=False)
    assert remedy.after == "RUN make && rm -rf '/usr/share/man/a b; reboot'/*"


def test_an_edit_removes_nothing_else():
    """Only folders in which all is of the kind; licences and the C locale stay; never the root or a program."""
    run = ("RUN /bin/sh -c make # buildkit",)
    planted = [file(path, b"x" * 9) for kind in PLANTED for path in PLANTED[kind]]
    for kind in judged([*planted, file("top.debug", b"d"), file("go.mod", b"g")], history=run).unneeded:
        for group in kind.layers:
            for folder_ in group.folders:
                assert unneeded(folder_[1:].encode() + b"/anything") == kind.kind, folder_
            assert "/app/" not in group.edit.after.replace("/app/.git", "")
            assert "rm -rf /*" not in group.edit.after
    docs = remedy_for_kind(Unneeded.DOCS, run[0], ["/usr/share/doc"], base=False).after
    assert docs == (
        "RUN make && find /usr/share/doc -type f ! -iname 'copyright*' ! -iname 'licen*' ! -iname 'notice*' -delete"
    )
    assert "C.utf8" in remedy_for_kind(Unneeded.LOCALES, run[0], ["/usr/lib/locale"], base=False).after
    assert remedy_for_kind(Unneeded.TEMPORARY, run[0], ["/"], base=False).after == ""


def hidden(fate: Fate, made_by: str, hidden_by: str, **values: object) -> str:
    """Give the edit for hidden files."""
    change = HiddenBy(fate=fate, made_by=made_by, hidden_by=hidden_by, paths=["/a"], **{"base": False, **values})
    return remedy_for_hidden(change).after


def test_edits_for_what_is_hidden():
    """Two RUNs become one; mode and owner move to the COPY."""
    assert hidden(Fate.DELETED, "RUN /bin/sh -c make", "RUN /bin/sh -c rm -rf /a") == "RUN make && rm -rf /a"
    assert hidden(Fate.OVERWRITTEN, "/bin/sh -c make", "/bin/sh -c make again") == "RUN make && make again"
    copy = "COPY a /a # buildkit"
    assert hidden(Fate.COPIED, copy, "RUN /bin/sh -c chmod 755 /a", mode=0o755) == "COPY --chmod=755 a /a"
    assert hidden(Fate.COPIED, copy, "RUN /bin/sh -c chown 7 /a", owner=(7, 8)) == "COPY --chown=7:8 a /a"
    assert hidden(Fate.DELETED, "RUN x", "RUN y", base=True) == ""
    assert hidden(Fate.OVERWRITTEN, "RUN x", "RUN x", same_layer=True) == ""


def test_findings():
    """One a layer and cause; severe where it is worth it and the image's own."""
    found = judged(
        [folder("app"), file("app/.git/pack", b"g" * 2_000_000), file("app/x", b"1" * 10)],
        [file("app/x", b"2" * 10)],
        history=("COPY . /app # buildkit", "RUN /bin/sh -c make # buildkit"),
    )
    by_rule = {finding.rule: finding for finding in judge_content(found)}

    assert by_rule["vcs"].severity is Severity.WARNING
    assert by_rule["vcs"].place == "linux/amd64 layer 1"
    assert ".dockerignore" in by_rule["vcs"].remedy
    assert by_rule["overwritten-files"].severity is Severity.NOTE
    assert set(by_rule) <= set(CONTENT_RULES)
