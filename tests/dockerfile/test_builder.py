"""Dockerfiles built as their users would: as root, as plain users, killed, without namespaces, for other processors."""

import json
import os
import re
import signal
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from dockerfile.theirs import build, contents, context
from gobuild import go_binary
from needs import need
from registries import distribution
from wherry.host.kernel import Kernel

pytestmark = pytest.mark.slow


def test_a_step_is_given_what_docker_gives(person):
    """Docker's capabilities, set-uid programs that work, a hostname, hosts, and nothing left of the mounts."""
    folder = context(
        person,
        "given",
        """FROM busybox
RUN grep -E "CapEff|CapBnd|NoNewPrivs" /proc/self/status | tr -s '\\t' ' '; hostname; grep -c localhost /etc/hosts
RUN --mount=type=tmpfs,target=/t --mount=type=secret,id=token,required touch /t/x && ls /run/secrets
RUN echo $$ && ls /proc | grep -c '^[0-9]'
RUN grep Seccomp: /proc/self/status; unshare -r true || echo "no namespaces"; dmesg || echo "no kernel log"
USER 1000:1001
RUN id -u; id -g; grep CapEff /proc/self/status
""",
        token="s3cr3t",  # noqa: S106 - what a test plants
    )

    done = build(person, folder, "--secret", "id=token,src=given/token")
    listed = contents(person, folder, "--secret", "id=token,src=given/token")

    assert done.returncode == 0, done.stderr
    for line in ("CapEff: 00000000a80425fb", "CapBnd: 00000000a80425fb", "NoNewPrivs: 0", "buildkitsandbox", "token"):
        assert line in done.stderr
    assert re.search(r"CapEff:\s+0000000000000000", done.stderr)
    assert re.search(r"Seccomp:\s+2", done.stderr)
    assert "| no namespaces" in done.stderr
    assert "| no kernel log" in done.stderr
    assert not {"run/secrets", "run/secrets/token", "t", "etc/resolv.conf", "etc/hosts"} & listed.keys()


def test_owners(person):
    """Names are looked up in the target; a user with one id still gives files to others."""
    folder = context(
        person,
        "owners",
        """FROM busybox
COPY --chown=www-data:users a /one
COPY --chown=77 a /two
COPY --chmod=u=rwx,go= a /three
USER 55:66
WORKDIR /w/x
""",
        a="a",
    )

    listed = contents(person, folder)

    assert (listed["one"].uid, listed["one"].gid) == (33, 100)
    assert (listed["two"].uid, listed["two"].gid) == (77, 77)
    assert listed["three"].mode == 0o700
    assert (listed["w/x"].uid, listed["w"].gid) == (55, 66)


def test_a_secret_is_nowhere(person):
    """Not in the store, the cache, what is printed or argv; after a kill neither."""
    planted = "q7Jx-planted-0451"
    folder = context(
        person,
        "secret",
        """FROM busybox
RUN --mount=type=secret,id=token cat /run/secrets/token; echo
RUN --mount=type=secret,id=token,env=TOKEN echo "is $TOKEN"; test -z "$WAIT" || sleep 60
""",
        token=planted,
    )
    words = ["--secret", "id=token,src=secret/token"]

    done = build(person, folder, *words)
    folder.joinpath("Dockerfile").write_text(folder.joinpath("Dockerfile").read_text().replace('-z "$WAIT"', "1 = 2"))
    running = person.start(
        "build", "-f", "secret/Dockerfile", "--progress", "plain", "--build-context",
        f"busybox=oci-layout://{person.home / 'busybox'}", *words, "secret",
    )  # fmt: skip
    assert running.stderr is not None
    for line in running.stderr:
        assert planted not in line
        if "| is ****" in line:
            break
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    argv = "".join(line for line in listed.splitlines() if not line.startswith("grep"))  # that of the test beside us
    running.kill()
    running.communicate()

    assert done.returncode == 0, done.stderr
    assert planted not in done.stdout + done.stderr + argv
    assert "| is ****" in done.stderr
    found = subprocess.run(
        ["grep", "-rlF", planted, str(person.home)], capture_output=True, text=True, check=False
    ).stdout.split()
    assert found == [str(folder / "token")]


def test_a_secret_of_the_environment_is_nowhere(person):
    """Nor is one that a variable has, or a proxy's password; and another value is no other call."""
    folder = context(
        person, "variable", 'FROM busybox\nRUN --mount=type=secret,id=token,env=T test -n "$T" && echo RAN\n'
    )
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (1, 1))
    time.sleep(0.1)  # stamps younger than some ticks of the clock are not trusted
    named = f"busybox=oci-layout://{person.home / 'busybox'}"
    words = person.argv("build", "--build-context", named, "--secret", "id=token,env=TOKEN", "variable")
    around = {**person.environment, "HTTPS_PROXY": "http://me:zX81-planted@127.0.0.1:9"}

    done = [
        subprocess.run(
            words, env={**around, "TOKEN": value}, cwd=person.home, capture_output=True, text=True, check=False
        )
        for value in ("k4Pq-planted", "other")
    ]

    assert [one.returncode for one in done] == [0, 0], done[0].stderr
    assert "nothing changed" in done[1].stderr
    assert list(person.home.glob(".cache/wherry/calls/*"))
    found = subprocess.run(
        ["grep", "-rlE", "k4Pq-planted|zX81-planted", str(person.home)], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_ended_leaves_nothing(person, number):
    """No process, no mount; and the next build finds the cache whole."""
    context(person, "ended", f"FROM busybox\nRUN echo {number} > /x; sleep 987 & echo up; sleep 986\n")
    running = person.start(
        "build", "--progress", "plain", "--build-context", f"busybox=oci-layout://{person.home / 'busybox'}", "ended"
    )
    assert running.stderr is not None
    for line in running.stderr:
        if "| up" in line:
            break

    running.send_signal(number)
    running.communicate(timeout=20)

    for _ in range(100):
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        if "sleep 98" not in listed:
            break
        time.sleep(0.05)  # the kernel ends them once their parent is gone; nothing tells us when
    assert "sleep 98" not in listed
    assert str(person.home) not in Path("/proc/self/mounts").read_text()
    again = context(person, "ended", "FROM busybox\nRUN echo fine > /x\n")
    assert build(person, again).returncode == 0
    assert person.run("gc").returncode == 0
    assert not [path for path in person.home.glob(".cache/wherry/trees/*/making/*") if path.is_dir()]


def test_what_a_step_leaves_running_ends_with_it(person):
    """A daemon that a step starts does not outlive it."""
    folder = context(person, "daemon", "FROM busybox\nRUN (sleep 985 &) ; echo done\n")

    done = build(person, folder)

    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert done.returncode == 0, done.stderr
    assert "sleep 985" not in listed


def test_a_fork_bomb_ends(persons):
    """A step that forks forever runs into a limit, and is gone with its first process."""
    person = persons["many"]
    folder = context(
        person, "bomb", "FROM busybox\nRUN ulimit -u 50; f() { f | f & }; f 2>/dev/null; sleep 1; exit 3\n"
    )

    done = build(person, folder)

    assert done.returncode == 1
    assert "exit code: 3" in done.stderr


def test_why(person):
    """A miss names the file, the line, the version."""
    folder = context(
        person,
        "why",
        "FROM busybox\nCOPY go.mod go.sum ./\nRUN true\n",
        **{"go.mod": "module x\n\nrequire golang.org/x/net v0.31.0\n", "go.sum": "a\n"},
    )
    first = build(person, folder, "--explain")
    folder.joinpath("go.mod").write_text("module x\n\nrequire golang.org/x/net v0.32.0\n")

    second = build(person, folder, "--explain")
    asked = person.run("why", "COPY go.mod", "why")
    every = person.run("why", "", "why", "--json")

    assert "not built before" in first.stderr
    assert "COPY go.mod go.sum ./ missed: go.mod changed (line 3: golang.org/x/net v0.31.0 → v0.32.0)" in second.stderr
    assert "go.mod changed (line 3:" in asked.stdout
    steps = json.loads(every.stdout)["steps"]
    assert [step["cached"] for name, step in steps.items() if "RUN true" in name] == [False]


def test_a_base_that_is_not_there(persons):
    """Its line and the nearest stage are named; a slip asks no registry, another name gives that one's exit code."""
    person = persons["root"]
    folder = context(person, "nobase", "FROM busybox AS first\nFROM busybox\nCOPY --from=frist /x /\n")

    done = build(person, folder, "--offline")
    (folder / "Dockerfile").write_text("FROM busybox\nCOPY --from=elsewhere.example/none /x /\n")
    other = build(person, folder, "--offline")

    assert done.returncode == 65
    assert other.returncode == 66
    assert 'nobase/Dockerfile:3: no stage is called "frist"' in done.stderr
    assert "(did you mean first?)" in done.stderr
    assert "3 | >>> COPY --from=frist /x /" in done.stderr


def test_times_do_not_count(person):
    """The same bytes hit, whatever their times; another mode does not."""
    folder = context(person, "times", "FROM busybox\nCOPY a /a\nRUN cat /a\n", a="a")
    first = build(person, folder).stdout
    os.utime(folder / "a", (1, 1))

    same = build(person, folder)
    (folder / "a").chmod(0o600)
    other = build(person, folder)

    assert same.stdout == first
    assert "nothing changed" in same.stderr
    assert other.stdout != first


def test_a_cache_begins_with_a_stage(person):
    """`--mount=type=cache,from=` begins with files of a stage, a context or an image, once."""
    folder = context(
        person,
        "begins",
        """FROM busybox AS seed
RUN mkdir -p /s/in && echo one > /s/in/f && chmod 1770 /s/in
FROM busybox
RUN --mount=type=cache,target=/c,from=seed,source=/s/in cat /c/f; stat -c "%a %u" /c; echo two >> /c/f
RUN --mount=type=cache,target=/c,from=seed,source=/s/in wc -l < /c/f
RUN --mount=type=cache,target=/c cat /c/f || echo "another cache"
RUN --mount=type=cache,target=/e,from=extra cat /e/g
RUN --mount=type=cache,target=/e,from=busybox,source=/etc grep -c www-data /e/passwd
""",
        **{"more/g": "from the context\n"},
    )

    done = build(person, folder, "--build-context", f"extra={folder / 'more'}")
    folder.joinpath("Dockerfile").write_text(folder.joinpath("Dockerfile").read_text().replace("echo one", "echo new"))
    other = build(person, folder, "--build-context", f"extra={folder / 'more'}")

    assert done.returncode == 0, done.stderr
    for words in ("| one", "| 1770 0", "| 2", "| another cache", "| from the context", "| 1"):
        assert words in done.stderr
    assert "| new" in other.stderr


def test_gc_by_size_and_age(person):
    """`wherry gc` frees steps until so much is left, and caches of RUN that are old; the rest still hits."""
    folder = context(
        person,
        "heavy",
        """FROM busybox
RUN --mount=type=cache,target=/c,uid=5 dd if=/dev/zero of=/first bs=1M count=3; mkdir -m 700 /c/x; touch /c/x/y
RUN dd if=/dev/zero of=/second bs=1M count=3
""",
    )
    build(person, folder)
    place = next(person.home.glob(".cache/wherry/trees/*/steps"))
    before = {path.name for path in place.iterdir()}

    planned = person.run("gc", "--older", "0s", "--max-used-space", "5m", "--dry-run")
    unchanged = {path.name for path in place.iterdir()}
    swept = person.run("gc", "--older", "0s", "--max-used-space", "5m")
    left = {path.name for path in place.iterdir()}
    aged = person.run("gc", "--unused", "0s")
    refused = person.run("gc", "--max-used-space", "much")

    assert unchanged == before
    assert "would free" in planned.stdout
    assert planned.stdout.replace("would free", "freed") == swept.stdout
    assert left < before
    assert "of RUN mounts" in aged.stdout
    assert not list(place.iterdir())
    assert not list(person.home.glob(".cache/wherry/mounts/*"))
    assert refused.returncode == 64
    assert build(person, folder).returncode == 0


def test_a_call_that_nothing_changed_for(persons):
    """It is answered from memory; each thing it hangs on makes it look again."""
    person = persons["root"]
    folder = context(person, "memo", "FROM scratch\nCOPY . /\n", a="a", **{"d/b": "b"})
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (1, 1))
    build(person, folder)
    time.sleep(0.1)  # stamps younger than some ticks of the clock are not trusted
    build(person, folder)
    changes = {
        "another byte": lambda: (folder / "a").write_text("b"),
        "a new file": lambda: (folder / "d" / "c").write_text("c"),
        "a mode": lambda: (folder / "a").chmod(0o600),
        "a deletion": (folder / "d" / "b").unlink,
        "an ignore file": lambda: (folder / ".dockerignore").write_text("d\n"),
        "the Dockerfile": lambda: (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /x\n"),
    }

    digests = [build(person, folder).stdout]
    for name, change in changes.items():
        change()
        digests.append(build(person, folder).stdout)
        assert digests[-1] != digests[-2], name


def test_an_edit_while_it_builds_is_not_lost(persons):
    """What was written after it was read is no "nothing changed", however long the build went on."""
    person = persons["root"]
    text = "FROM busybox\nCOPY f /f\nRUN echo up; sleep 2.5; cat /f\n"
    folder = context(person, "edited", text, f="before")
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (1, 1))
    time.sleep(0.1)  # stamps younger than some ticks of the clock are not trusted
    named = f"busybox=oci-layout://{person.home / 'busybox'}"
    words = ["build", "--progress", "plain", "--build-context", named, "edited"]
    running = person.start(*words)
    assert running.stderr is not None
    for line in running.stderr:
        if "| up" in line:
            break

    (folder / "f").write_text("after")
    (folder / "Dockerfile").write_text(text.replace("cat /f", "cat /f /f"))
    first, _ = running.communicate(timeout=30)
    second = person.run(*words)

    assert running.returncode == second.returncode == 0
    assert second.stdout != first
    assert "| afterafter" in second.stderr


def test_a_registry_is_asked_again(persons, tmp_path):
    """A base whose tag moved is noticed, and an image that its registry lost is pushed again."""
    person = persons["root"]
    with distribution(tmp_path / "registry") as registry:
        base, name = f"{registry.host}/base:1", f"{registry.host}/app:1"
        subprocess.run([need("crane"), "push", str(person.home / "busybox"), base], check=True, capture_output=True)
        folder = context(person, "asked", f"FROM {base}\nCOPY f /f\n", f="f")
        for path in (folder, *folder.rglob("*")):
            os.utime(path, (1, 1))
        time.sleep(0.1)  # stamps younger than some ticks of the clock are not trusted
        words = ["build", "--push", "-t", name, "asked"]
        first = person.run(*words)
        same = person.run(*words)
        digest = first.stdout.strip().partition("@")[2]
        subprocess.run([need("crane"), "delete", f"{registry.host}/app@{digest}"], check=True, capture_output=True)
        again = person.run(*words)
        there = subprocess.run([need("crane"), "digest", name], check=True, capture_output=True, text=True).stdout
        mutate = [need("crane"), "mutate", base, "--label", "new=1", "-t", base]
        subprocess.run(mutate, check=True, capture_output=True)
        moved = person.run(*words)
    gone = person.run(*words)

    assert first.returncode == same.returncode == again.returncode == moved.returncode == 0, moved.stderr
    assert "nothing changed" in same.stderr
    assert "pushed" not in same.stderr
    assert first.stdout == same.stdout == again.stdout
    assert there.strip() == digest
    assert moved.stdout != first.stdout
    assert gone.returncode != 0


def test_a_damaged_memory_is_no_answer(persons):
    """What is kept of calls and of files may be cut short or foreign: it is passed over."""
    person = persons["root"]
    folder = context(person, "damaged", "FROM scratch\nCOPY . /\n", f="f")
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (1, 1))
    time.sleep(0.1)  # stamps younger than some ticks of the clock are not trusted
    first = build(person, folder)
    kept = [*person.home.glob(".cache/wherry/calls/*"), *person.home.glob(".cache/wherry/contexts/*.sqlite")]

    for content in (b"", b"\xfb\xff\xff\xff\x7f", kept[0].read_bytes()[:-20]):
        for path in kept:
            path.write_bytes(content)
        done = build(person, folder)
        assert (done.returncode, done.stdout) == (0, first.stdout), done.stderr


def test_without_namespaces(persons):
    """Where nothing can be mounted, steps run in a chroot and give the same files."""
    person = persons["root"]
    folder = context(
        person,
        "chroot",
        """FROM busybox AS a
RUN touch /x; rm /etc/group; mkdir -p /n/m; echo hi > /n/m/f; ln -s /n /l; (sleep 984 &); echo $$ > /dev/null
RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t date > /c/x; touch /t/y; grep -c localhost /etc/hosts
WORKDIR /w
RUN rm -rf /n/m && mkdir /n/m
FROM busybox
COPY --from=a /n /n
COPY --from=a / /all/
RUN touch /last
""",
    )
    usual = contents(person, folder, "--no-cache")
    subprocess.run(["rm", "-rf", str(person.home / ".cache/wherry/trees")], check=True)

    chrooted = contents(person, folder, "--no-cache", "--isolation", "chroot")
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout

    assert {name: (entry.mode, entry.uid, entry.gid, entry.type) for name, entry in usual.items()} == {
        name: (entry.mode, entry.uid, entry.gid, entry.type) for name, entry in chrooted.items()
    }
    assert "sleep 984" not in listed


def test_auto_falls_back_to_a_chroot(persons):
    """As a container's root without the right to mount, a build says so and goes on; on a host, and for users, not."""
    person = persons["root"]
    folder = context(person, "auto", "FROM busybox\nRUN echo went\nCOPY Dockerfile /d\n")
    argv = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    named = f"busybox=oci-layout://{person.home / 'busybox'}"

    done = subprocess.run(
        [*argv, *person.argv("build", "--progress", "plain", "--build-context", named, folder.name)],
        env={**person.environment, "WHERRY_CACHE": str(person.home / "other")},
        cwd=person.home, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    plain = persons["many"]
    refused = build(plain, context(plain, "auto", "FROM busybox\nRUN true\n"), "--isolation", "chroot")

    if Kernel.of_host().in_container():
        assert done.returncode == 0, done.stderr
        assert "runs in a chroot" in done.stderr
        assert "| went" in done.stderr
    else:
        assert "--isolation chroot" in done.stderr
        assert "| went" not in done.stderr
    assert refused.returncode != 0
    assert "only root can use chroot" in refused.stderr


def test_another_processor(person):
    """RUN for a foreign platform is emulated, with what it starts itself; nothing of it stays with the kernel."""
    need("qemu-aarch64-static")
    source = """package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

func main() {
	fmt.Println("on", runtime.GOARCH, len(os.Args))
	if len(os.Args) == 1 {
		out, err := exec.Command("/prog", "again").CombinedOutput()
		fmt.Print(string(out), err, "\\n")
	}
}
"""
    program = go_binary(source, arch="arm64").read_bytes()
    before = sorted(Path("/proc/sys/fs/binfmt_misc").iterdir())
    folder = context(person, "foreign", 'FROM scratch\nCOPY --chmod=755 prog /prog\nRUN ["/prog"]\n', prog=program)

    done = build(person, folder, "--platform", "linux/arm64")

    assert done.returncode == 0, done.stderr
    assert "| on arm64 1" in done.stderr
    assert "| on arm64 2" in done.stderr
    assert sorted(Path("/proc/sys/fs/binfmt_misc").iterdir()) == before


def test_a_cache_is_carried_elsewhere(persons):
    """An empty machine takes all steps from a folder, and only does what changed; mounts are carried if asked."""
    person = persons["many"]
    text = """FROM busybox AS a
RUN --mount=type=cache,target=/c echo kept > /c/k; echo one > /x; echo RAN
RUN rm /etc/group; cat /x > /y
FROM scratch
COPY --from=a /y /y
"""
    folder = context(person, "carried", text)
    first = build(person, folder, "--cache-to", "type=local,dest=elsewhere,mounts=true")
    empty = ["--cache", "empty", "--store", "emptystore"]
    named = f"busybox=oci-layout://{person.home / 'busybox'}"
    words = [
        "build",
        "--progress",
        "plain",
        "--build-context",
        named,
        "--cache-from",
        "type=local,src=elsewhere",
        "carried",
    ]

    second = person.run(*empty, *words, timeout=60)
    folder.joinpath("Dockerfile").write_text(text.replace("cat /x > /y", "cat /x /etc/passwd > /y"))
    third = person.run(*empty, *words, timeout=60)

    assert first.returncode == second.returncode == third.returncode == 0, second.stderr + third.stderr
    assert second.stdout == first.stdout
    assert "| RAN" not in second.stderr + third.stderr
    assert "cache mount /c filled" in second.stderr
    kept = list((person.home / "empty" / "mounts").rglob("k"))
    assert [path.read_text() for path in kept] == ["kept\n"]


def test_a_cache_is_carried_by_a_registry(persons, tmp_path):
    """Two machines with nothing in common but a registry: the second does nothing that the first has done."""
    person = persons["many"]
    text = """FROM busybox AS a
RUN echo one > /x; echo RAN
RUN cat /x > /y; echo AGAIN
FROM scratch
COPY --from=a /y /
"""
    folder = context(person, "registry", text)
    named = f"busybox=oci-layout://{person.home / 'busybox'}"
    with distribution(tmp_path) as registry:
        place = f"type=registry,ref={registry.host}/some/cache:main"

        def machine(name: str, *words: str) -> "subprocess.CompletedProcess[str]":
            own = ["--cache", name, "--store", f"{name}-store"]
            return person.run(*own, "build", "--progress", "plain", "--build-context", named, *words, "registry")

        first = machine("one", "--cache-from", place, "--cache-to", f"{place},mode=max")
        second = machine("two", "--cache-from", place)
        folder.joinpath("Dockerfile").write_text(text.replace("cat /x > /y", "cat /x /x > /y"))
        third = machine("three", "--cache-from", place)
    fourth = machine("four", "--cache-from", place)

    for done in (first, second, third, fourth):
        assert done.returncode == 0, done.stderr
    assert "| RAN" in first.stderr
    assert second.stdout == first.stdout
    assert "| RAN" not in second.stderr + third.stderr
    assert "| AGAIN" not in second.stderr
    assert "| AGAIN" in third.stderr
    assert "| RAN" in fourth.stderr
    assert "--cache-from" in fourth.stderr


def test_a_shell_where_a_step_failed(persons):
    """`--debug-shell` shows what the step left."""
    person = persons["many"]
    folder = context(person, "shell", "FROM busybox\nRUN echo traces > /left; false\n")
    named = f"busybox=oci-layout://{person.home / 'busybox'}"

    done = person.run("build", "--debug-shell", "--build-context", named, folder.name, stdin="cat /left\nexit\n")

    assert done.returncode == 1
    assert "traces" in done.stdout


def test_two_builds_one_digest(person):
    """With SOURCE_DATE_EPOCH and rewrite-timestamp nothing of the moment is left."""
    folder = context(person, "same", "FROM busybox\nRUN echo a > /a\nCOPY Dockerfile /d\nWORKDIR /w\n")
    words = ["--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-o", "type=image,rewrite-timestamp=true"]

    first, second = build(person, folder, *words), build(person, folder, *words)

    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout


def test_where_a_build_comes_from(persons):
    """Standard input, an archive, a repository: as the Dockerfile, as the context, as what ADD adds."""
    person = persons["many"]
    named = ["--no-cache", "--progress", "plain", "--build-context", f"busybox=oci-layout://{person.home / 'busybox'}"]
    folder = context(person, "comes", "FROM busybox\nCOPY sub/f /f\nRUN cat /f\n", **{"sub/f": "from here\n"})
    as_person = person.argv()[: person.argv().index("/usr/bin/python3")]
    git = [*as_person, "git", "-C", str(folder)]
    home = {"HOME": str(person.home), "PATH": os.environ["PATH"]}
    who = ["-c", "user.email=a@b", "-c", "user.name=a"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run([*git, *words], env=home, check=True, capture_output=True)
    archive = subprocess.run(["tar", "cz", "-C", folder, "."], check=True, capture_output=True).stdout
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = ["git", "daemon", f"--base-path={person.home}", "--export-all", "--listen=127.0.0.1", f"--port={port}"]
    daemon = subprocess.Popen([*as_person, *serve], env=home, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)  # nothing tells that it listens
        address = f"git://127.0.0.1:{port}/comes/.git#v1"

        cloned = person.run("build", *named, address)
        added = person.run("build", *named, "-", stdin=f"FROM busybox\nADD {address}:sub /g/\nRUN cat /g/f\n")
    finally:
        daemon.terminate()
        daemon.wait()
    piped = subprocess.run(
        person.argv("build", *named, "-"), env=person.environment, cwd=person.home, input=archive, capture_output=True,
        check=False,
    )  # fmt: skip
    read = person.run("build", *named, "-f", "-", "comes", stdin="FROM busybox\nCOPY sub /s\nRUN cat /s/f\n")
    alone = person.run("build", *named, "-", stdin="FROM busybox\nCOPY sub /s\n")

    for done in (cloned.stderr, added.stderr, piped.stderr.decode(), read.stderr):
        assert "| from here" in done
    assert alone.returncode != 0
    assert "no build context" in alone.stderr


@pytest.mark.parametrize("who", ["many", "root in a chroot"])
def test_an_agent_is_passed_on(persons, who):
    """A step speaks to the user's agent, by a socket of root or as it asks; one that is required has to be there."""
    person = persons[who.partition(" ")[0]]
    words = ("--isolation", "chroot") if who.startswith("root") else ()
    folder = context(
        person,
        "agent",
        """FROM busybox
USER 1000
RUN --mount=type=ssh,required test -S $SSH_AUTH_SOCK && echo there; stat -c "%a %u:%g" $SSH_AUTH_SOCK
RUN --mount=type=ssh,mode=0640,uid=1000,gid=50 test -w $SSH_AUTH_SOCK && stat -c "%a %u:%g" $SSH_AUTH_SOCK
""",
    )
    place = person.home / "socket"
    agent = subprocess.Popen(
        [
            *(person.argv()[: person.argv().index("/usr/bin/python3")] if who == "many" else ()),
            need("ssh-agent"),
            "-D",
            "-a",
            str(place),
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            if place.is_socket():
                break
            time.sleep(0.05)  # nothing tells that it listens

        done = build(person, folder, *words, "--ssh", f"default={place}")
    finally:
        agent.terminate()
        agent.wait()
    refused = build(person, folder, *words, "--no-cache")

    for line in ("| there", "| 600 0:0", "| 640 1000:50"):
        assert line in done.stderr
    assert done.returncode == 0
    assert refused.returncode == 64
    assert "no SSH agent named default" in refused.stderr


def test_limits_and_hosts(person):
    """`--ulimit`, `--shm-size`, `--add-host`, `--network none`."""
    folder = context(
        person,
        "limits",
        """FROM busybox
RUN ulimit -n; df -m /dev/shm | tail -1; grep foo /etc/hosts
RUN --network=none ip -o addr | wc -l
""",
    )

    done = build(person, folder, "--ulimit", "nofile=100:200", "--shm-size", "5m", "--add-host", "foo:1.2.3.4")

    assert done.returncode == 0, done.stderr
    assert "| 100" in done.stderr
    assert re.search(r"none\s+5\s", done.stderr)
    assert re.search(r"1\.2\.3\.4\s+foo", done.stderr)


def test_hostile_contexts(persons):
    """Links that lead out of a context or a stage lead nowhere; an archive that would leave is refused."""
    person = persons["root"]
    folder = context(person, "hostile", "FROM scratch\nCOPY link /x\n")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "up").symlink_to("../../../../../etc")
    followed = build(person, folder)
    folder.joinpath("Dockerfile").write_text("FROM scratch\nCOPY up/passwd /x\n")
    through = build(person, folder)
    folder.joinpath("Dockerfile").write_text(
        "FROM busybox\nRUN ln -s / /out && ln -s /out/etc /e\nCOPY hosts /e/mine\n"
    )
    (folder / "hosts").write_text("ours")
    inside = contents(person, folder)
    with tarfile.open(folder / "bad.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("../../../evil"))
    folder.joinpath("Dockerfile").write_text("FROM scratch\nADD bad.tar /a/b/\n")
    refused = build(person, folder)
    with tarfile.open(folder / "good.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("z/../n"))
    folder.joinpath("Dockerfile").write_text("FROM scratch\nADD good.tar /a/\n")
    unpacked = contents(person, folder)

    assert "a/n" in unpacked
    assert followed.returncode == through.returncode == 65
    assert "not found in the context" in followed.stderr
    assert "etc/mine" in inside
    assert not Path("/etc/mine").exists()
    assert refused.returncode == 65
    assert "is outside the archive" in refused.stderr
