"""What runs in a sandbox takes hold of what started it: the host's interpreter, an emulator, a descriptor.

CVE-2019-5736 (runc): `/proc/self/exe` in a container was the host's runc, which the container then overwrote.
CVE-2024-21626 (runc): a working directory `/proc/self/fd/N` led out through an inherited descriptor.
"""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from containers import HERE, Person, file, make_image
from dockerfile.theirs import context
from gobuild import go_binary
from needs import need
from wherry.oci.config import RuntimeConfig
from wherry.store.disk import DiskStore

pytestmark = pytest.mark.slow

GRAB = (Path(__file__).parent / "samples" / "grab.go").read_text()
LINKER = {"amd64": "lib64/ld-linux-x86-64.so.2", "arm64": "lib/ld-linux-aarch64.so.1"}
"""Where an image has its dynamic linker, which the kernel starts for the host's interpreter too."""


@dataclass(frozen=True)
class Victim:
    """A person with an interpreter and an emulator of their own, as uv, pyenv and pipx give them."""

    person: Person
    python: Path
    emulator: Path

    def wherry(self, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run wherry by that interpreter."""
        argv = [str(self.python), "-m", "wherry", *words]
        if self.person.uid != os.geteuid():
            name = self.person.name
            argv = ["setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups", *argv]
        return subprocess.run(
            argv,
            env=self.person.environment | {"PATH": f"{self.python.parent}:{self.person.environment['PATH']}"},
            cwd=self.person.home, input=stdin, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def state(self) -> list[tuple[object, ...]]:
        """Describe what may not change: bytes, mode, owner, attributes, and that nothing touched its inode."""
        return [
            (
                status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
                tuple(os.listxattr(place)), hashlib.sha256(place.read_bytes()).hexdigest(),
            )
            for place in (self.python, self.emulator, Path(os.devnull))
            if (status := place.stat())
        ]  # fmt: skip

    def inodes(self) -> set[str]:
        """Name the files that a container has to reach by no way: the interpreter, its library, its modules."""
        libraries = [Path("/usr/lib/python3"), Path("/usr/lib/python3.11/lib-dynload"), Path("/lib/x86_64-linux-gnu")]
        places = [self.python, self.emulator, *(found for folder in libraries for found in folder.rglob("*.so*"))]
        return {f"{status.st_dev}:{status.st_ino}" for place in places if (status := place.stat())}


@pytest.fixture
def victim(person: Person) -> Victim:
    """One of the people, with programs of their own."""
    programs = person.home / "programs"
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir()
    for name, source in {"python3": "/usr/bin/python3", "qemu-aarch64-static": need("qemu-aarch64-static")}.items():
        shutil.copyfile(source, programs / name)
        (programs / name).chmod(0o755)
    subprocess.run(["chown", "-R", person.name, str(programs)], check=True)
    return Victim(person, programs / "python3", programs / "qemu-aarch64-static")


def program(arch: str = HERE.architecture) -> Path:
    """Give the attacker's program, which needs nothing of an image."""
    return go_binary(GRAB, "-ldflags=-s", arch=arch)


def held_out(victim: Victim, before: list[tuple[object, ...]], said: str) -> None:
    """Check that the attack was made, and that nothing of the host was changed or could be."""
    assert victim.state() == before
    inodes = victim.inodes()
    for line in said.splitlines():
        words = line.partition("changed ")[2].split()
        if words:
            assert words[-2] not in inodes, line


DOCKERFILE = f"""FROM busybox
COPY --chmod=755 grab /grab
COPY --chmod=755 grab /{LINKER.get(HERE.architecture, "none")}
COPY --chmod=755 script /script
"""


@pytest.mark.parametrize(
    "step",
    [
        'RUN ["/proc/self/exe"]',
        'RUN ["/script"]',
        'RUN ["/proc/thread-self/exe"]',
        'RUN ["/proc/1/exe"]',
        "RUN --mount=type=tmpfs,target=/t /grab",
        'USER 33\nRUN ["/proc/self/exe"]',
    ],
)
def test_a_step_takes_hold_of_the_interpreter(victim, step):
    """CVE-2019-5736: a step that is the host's own interpreter, by name, shebang or thread, as root and others."""
    folder = context(
        victim.person, "grab", f"{DOCKERFILE}{step}\n", grab=program().read_bytes(), script="#!/proc/self/exe\n"
    )
    before = victim.state()

    done = victim.wherry("build", "--progress", "plain", "--build-context", "busybox=oci-layout://busybox", folder.name)

    held_out(victim, before, done.stderr)
    if "/1/" not in step:
        assert "| grabbed" in done.stderr, done.stderr
    else:
        assert "Permission denied" in done.stderr, done.stderr


@pytest.mark.parametrize("argv", [["/proc/self/exe"], ["/script"], ["/grab"]])
def test_a_container_takes_hold_of_the_interpreter(victim, argv):
    """CVE-2019-5736 by ENTRYPOINT, of an image that `wherry run` starts."""
    layer = [file(path, program(), mode=0o755) for path in ("grab", LINKER[HERE.architecture])]
    layer.append(file("script", b"#!/proc/self/exe\n", mode=0o755))
    store = DiskStore(victim.person.home / "attack")
    store.tag("grab", make_image(store, [layer], RuntimeConfig(entrypoint=tuple(argv))))
    subprocess.run(["chown", "-R", victim.person.name, str(store.folder)], check=True)
    before = victim.state()

    done = victim.wherry("--store", str(store.folder), "run", "grab")

    held_out(victim, before, done.stdout)
    assert "grabbed" in done.stdout, done.stderr


def test_the_shell_of_a_failed_step(victim):
    """CVE-2019-5736 by `--debug-shell`: the image's /bin/sh is the interpreter."""
    text = f"{DOCKERFILE}RUN rm /bin/sh && mv /script /bin/sh && false\n"
    folder = context(victim.person, "shell", text, grab=program().read_bytes(), script="#!/proc/self/exe\n")
    before = victim.state()

    done = victim.wherry(
        "build", "--debug-shell", "--progress", "plain", "--build-context", "busybox=oci-layout://busybox", folder.name
    )

    held_out(victim, before, done.stdout)
    assert "grabbed" in done.stdout, done.stderr


def test_in_a_chroot(victim):
    """CVE-2019-5736 where there are no namespaces: no /proc leads anywhere."""
    if victim.person.uid != 0:
        pytest.skip("chroot isolation is root's alone")
    text = f'{DOCKERFILE}RUN /grab\nRUN ["/proc/self/exe"]\n'
    folder = context(victim.person, "chroot", text, grab=program().read_bytes(), script="#!/proc/self/exe\n")
    before = victim.state()

    done = victim.wherry(
        "build", "--isolation", "chroot", "--progress", "plain", "--build-context", "busybox=oci-layout://busybox",
        folder.name,
    )  # fmt: skip

    held_out(victim, before, done.stderr)
    assert "| grabbed" in done.stderr
    assert "/proc/self/exe: program not found" in done.stderr


def test_an_emulated_step_takes_hold_of_the_emulator(victim):
    """CVE-2019-5736 with qemu: what /proc calls the program is the emulator, which the user may own."""
    folder = context(
        victim.person, "emulated", 'FROM scratch\nCOPY --chmod=755 grab /grab\nRUN ["/grab"]\n',
        grab=program("arm64").read_bytes(),
    )  # fmt: skip
    before = victim.state()

    done = victim.wherry("build", "--progress", "plain", "--platform", "linux/arm64", folder.name)

    held_out(victim, before, done.stderr)
    assert "| grabbed" in done.stderr, done.stderr


def test_an_emulator_that_the_kernel_holds(victim):
    """binfmt_misc's flag F: a native step starts a foreign program, and is not given the host's emulator."""
    if victim.person.uid != 0:
        pytest.skip("only root's steps could change what root registered")
    magic = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    register = Path("/proc/sys/fs/binfmt_misc/register")
    mounted = not register.exists()
    if mounted:
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(register.parent)], check=True)
    name = f"wherry{os.getpid()}"
    register.write_text(f":{name}:M::{magic}::{victim.emulator}:F")
    folder = context(
        victim.person, "held", "FROM busybox\nCOPY --chmod=755 grab /grab\nRUN /grab || echo refused\n",
        grab=program("arm64").read_bytes(),
    )  # fmt: skip
    before = victim.state()
    try:
        done = victim.wherry(
            "build", "--progress", "plain", "--build-context", "busybox=oci-layout://busybox", folder.name
        )
    finally:
        (register.parent / name).write_text("-1")
        if mounted:
            subprocess.run(["umount", str(register.parent)], check=True)

    held_out(victim, before, done.stderr)
    assert "| refused" in done.stderr, done.stderr
    assert "| grabbed" not in done.stderr


@pytest.mark.parametrize("number", [5, 6, 7, 8])
def test_a_working_directory_that_is_a_descriptor(victim, number):
    """CVE-2024-21626: WORKDIR /proc/self/fd/N is no way out, whatever N was when the program started."""
    text = f"FROM busybox\nWORKDIR /proc/self/fd/{number}\nRUN ls -a . ../../../../../../home; find / -name programs\n"
    folder = context(victim.person, "fds", text)

    done = victim.wherry("build", "--progress", "plain", "--build-context", "busybox=oci-layout://busybox", folder.name)

    said = [line.partition("| ")[2] for line in done.stderr.splitlines() if "0 | " in line or "1 | " in line]
    assert not [line for line in said if victim.person.name in line or "programs" in line], done.stderr
    assert done.returncode != 0
    assert "process's open file" in done.stderr or "no such file" in done.stderr.lower(), done.stderr


def test_what_is_open_inside(victim):
    """A step has its three streams and nothing else, and none of them is a file of the host that it can change."""
    text = (
        "FROM busybox\nRUN for fd in /proc/self/fd/*; do readlink $fd; done; ls /proc/$$/fd; "
        "chmod 600 /proc/self/fd/0; stat -L -c '%a %t:%T' /proc/self/fd/0\n"
    )
    folder = context(victim.person, "open", text)
    before = victim.state()

    done = victim.wherry("build", "--progress", "plain", "--build-context", "busybox=oci-layout://busybox", folder.name)

    assert done.returncode == 0, done.stderr
    said = [line.partition("| ")[2] for line in done.stderr.splitlines() if "| " in line]
    links = {line for line in said if "/" in line or ":[" in line}
    assert all(
        link == "/dev/null" or link.startswith(("pipe:", "/proc/", "chmod:", "RUN", "network:")) for link in links
    ), said
    assert [line for line in said if line.isdecimal()] == ["0", "1", "2"]
    assert victim.state() == before


def test_files_behind_standard_streams(victim):
    """What `<` and `>` name is read and written, and can't be opened again, cut or changed through /proc/self/fd."""
    home, name = victim.person.home, victim.person.name
    store = DiskStore(home / "streams")
    store.tag("grab", make_image(store, [[file("grab", program(), mode=0o755)]], RuntimeConfig(entrypoint=("/grab",))))
    (home / "input").write_text("input\n" * 10_000)
    (home / "output").write_text("earlier\n")
    subprocess.run(["chown", "-R", name, str(store.folder), str(home / "input"), str(home / "output")], check=True)
    argv = [str(victim.python), "-m", "wherry", "--store", str(store.folder), "run", "-i", "grab"]
    if victim.person.uid != os.geteuid():
        argv = ["setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups", *argv]

    with (home / "input").open("rb+") as given, (home / "output").open("ab") as taken:
        done = subprocess.run(
            argv,
            env=victim.person.environment,
            cwd=home,
            stdin=given,
            stdout=taken,
            stderr=taken,
            timeout=60,
            check=False,
        )

    said = (home / "output").read_text()
    assert done.returncode == 0, said
    assert said.startswith("earlier\n")
    assert said.endswith("grabbed\n")
    assert (home / "input").read_text() == "input\n" * 10_000
    for place in (home / "input", home / "output"):
        status = place.stat()
        assert f"{status.st_dev}:{status.st_ino}" not in said
        assert status.st_mode & 0o6000 == 0
