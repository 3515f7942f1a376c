"""A user without sub-ids: chown, stat and setuid in steps do as with sub-ids, and give the same image."""

import json
import os
import re
import shutil
import subprocess

import pytest

from dockerfile import bases
from dockerfile.theirs import build, context

pytestmark = pytest.mark.slow
_PERL = (
    'use POSIX; $) = "50 7 8"; POSIX::setgid(50); POSIX::setuid(33);'
    ' print POSIX::getuid(), " ", POSIX::getgid(), "\\n";'
    ' POSIX::setuid(0) or print "no way back\\n"; system("id -u")'
)
STEPS = """FROM busybox
RUN touch /x /y && mkdir -p /d/e && chown 1000:50 /x && chown -R 7:8 /d && chgrp 9 /y && stat -c '%n %u:%g' /x /y /d/e
RUN chown 0:0 /x && chown 5 /d && stat -c '%n %u:%g' /x /d /d/e && cp -a /d /d2 && mv /y /z
RUN chmod 4755 /z && chown 3:4 /z && echo more >> /d/f && chown :77 /bin/busybox
USER 1000:1000
RUN id -u && stat -c '%n %u:%g' /d /z
USER root
RUN mkdir -p /home/me/old && touch /home/me/old/a && chown -R 1000:1000 /home/me && chmod 777 /home && touch /home/root
USER 1000:1000
RUN mkdir /home/me/new && echo x > /home/me/new/b && echo y >> /home/me/old/a && mv /home/me/old /home/me/older
RUN rm /home/me/new/b && echo z > /home/me/new/b && chmod 600 /home/me/older/a
"""


def digest(person, folder, *words):
    """Build it with fixed times; give the image's digest."""
    done = build(
        person, folder, "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "--no-cache", "-o",
        f"type=oci,dest={folder}.oci,tar=false,rewrite-timestamp=true", *words,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    index = json.loads((folder.with_name(f"{folder.name}.oci") / "index.json").read_text())
    shutil.rmtree(f"{folder}.oci")
    return index["manifests"][0]["digest"], done.stderr


def test_owners_are_kept(persons):
    """What a step gives away is given away, for later steps and in the layer; all else is as it was."""
    (one, words), (many, _) = (digest(persons[who], context(persons[who], "owned", STEPS)) for who in ("one", "many"))

    for line in ("/x 1000:50", "/y 0:9", "/d/e 7:8", "/x 0:0", "/d 5:8"):
        assert f"| {line}" in words
    assert one == many


DEBIAN = """FROM debian
RUN rm -f /etc/shadow- /etc/gshadow- /var/log/lastlog && useradd -m a && touch /x && chown a /x && stat -c '%n %U:%G' /x
RUN stat -c '%n %U:%G' /x /home/a /home/a/.bashrc /etc/shadow && chown -R a: /opt && su a -s /bin/sh -c 'id -un; id -Gn'
"""


@pytest.fixture(scope="module")
def debian(persons):
    """Debian, where each person finds it."""
    base = bases.debian()
    for who in ("one", "many"):
        place = persons[who].home / "debian"
        shutil.copytree(base, place)
        subprocess.run(["chown", "-R", persons[who].name, str(place)], check=True)
    return "debian=oci-layout://{}/debian"


def test_an_account_on_debian(persons, debian):
    """`useradd -m a && chown a /x`: the same digest, whoever has sub-ids."""
    (one, words), (many, _) = (
        digest(
            persons[who], context(persons[who], "account", DEBIAN), "--build-context", debian.format(persons[who].home)
        )
        for who in ("one", "many")
    )

    for line in ("/x a:root", "/home/a a:a", "/home/a/.bashrc a:a", "/etc/shadow root:shadow", "a", "a"):
        assert re.search(rf"\| {re.escape(line)}$", words, re.MULTILINE)
    assert one == many


def test_what_fails_is_said_first(persons):
    """Before any step; with --ignore-chown-errors chown does nothing, and a build without is not answered by that."""
    person = persons["one"]
    folder = context(person, "ignored", "FROM busybox\nRUN touch /x && chown 5:6 /x && stat -c '%n %u:%g' /x\n")
    answered = build(person, folder)
    ignored = build(person, folder, "--ignore-chown-errors")

    assert "no subordinate IDs" in answered.stderr.splitlines()[0]
    assert "| /x 5:6" in answered.stderr
    assert "chown in RUN does nothing" in ignored.stderr.splitlines()[0]
    assert "| /x 0:0" in ignored.stderr


def test_users_of_programs(persons, debian):
    """The user that a process becomes is its own, and that of what it starts."""
    person = persons["one"]
    text = f"FROM debian\nRUN perl -e '{_PERL}'\nRUN id -u\n"
    done = build(person, context(person, "users", text), "--build-context", debian.format(person.home))

    assert done.returncode == 0, done.stderr
    for line in ("33 50", "no way back", "33", "0"):
        assert re.search(rf"\| {line}$", done.stderr, re.MULTILINE), line


def test_calls_that_make_no_sense(persons, debian):
    """Addresses that are none and descriptors that are closed are the kernel's to refuse; the step goes on."""
    chown, stat, setgroups = (92, 4, 116) if os.uname().machine == "x86_64" else (55, 80, 159)
    calls = "".join(
        f"syscall({number}, {first}, {second}, 0); "
        for number in (chown, stat, setgroups)
        for first in ("0", "1", "-1", "65535", "~0 >> 1", "1 << 63")
        for second in ("0", "-1", "~0 >> 1")
    )
    text = f"FROM debian\nRUN perl -e '{calls}' && touch /x && chown 5:6 /x && stat -c '%n %u:%g' /x\n"
    done = build(
        persons["one"], context(persons["one"], "odd", text), "--build-context", debian.format(persons["one"].home)
    )

    assert done.returncode == 0, done.stderr
    assert "| /x 5:6" in done.stderr


def test_a_number_that_is_used_again(persons):
    """A link's owner ends with the link: what gets its inode number is its maker's."""
    steps = """FROM busybox
RUN for i in 1 2 3 4 5 6; do ln -s x l$i; chown -h 5:6 l$i; done && stat -c 'link %u:%g' l* && rm l* && \
for i in 1 2 3 4 5 6 7 8; do touch f$i; ln -s x m$i; done && stat -c 'new %u:%g' f* m*
"""
    done = build(persons["one"], context(persons["one"], "numbers", steps), "--no-cache")

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("| link 5:6") == 6
    assert done.stderr.count("| new 0:0") == 16, done.stderr


def test_a_process_asks_for_itself(persons):
    """/proc/self is the process that asks, never the one that answers: its program, its streams."""
    steps = """FROM busybox
RUN cp /bin/busybox /busybox && chown 7:8 /busybox && /busybox stat -Lc 'exe %u:%g' /proc/self/exe
RUN exec >/log && chown 5:6 /dev/stdout /proc/self/fd/1 && echo done
RUN stat -c 'log %u:%g' /log && cat /log
"""
    done = build(persons["one"], context(persons["one"], "itself", steps), "--no-cache")

    assert done.returncode == 0, done.stderr
    assert "| exe 7:8" in done.stderr
    assert "| log 5:6" in done.stderr, done.stderr
