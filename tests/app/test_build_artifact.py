"""Contexts that anyone may have made, and what else pods and clients ask before a build."""

import io
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from wherry.app.build_artifact import unpack_context
from wherry.app.pod_security import dockerfiles_in_pods, missing_here, needs_namespace, runs_programs
from wherry.app.worker import cache_names
from wherry.app.worker_faults import Surroundings, fault_of
from wherry.build.compile import CompileFailed
from wherry.build.run import StepFailed
from wherry.dockerfile.errors import DockerfileError
from wherry.errors import Cancelled, CannotWrite, HostUnable, InvalidSettings, NotFound, WherryError
from wherry.registry.errors import AccessDenied, NotInRegistry, RegistryError

LIMIT = 1 << 20


def packed(*members: tuple[str, bytes, str], content: bytes = b"x") -> bytes:
    """Make a context of (name, type, link target)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(content))
    return zstandard.compress(made.getvalue())


def unpacked(blob: bytes, folder: Path) -> None:
    """Unpack it."""
    unpack_context(iter([blob]), folder, LIMIT)


@pytest.mark.parametrize(
    "members",
    [
        [("../out", tarfile.REGTYPE, "")],
        [("a/../../out", tarfile.REGTYPE, "")],
        [("dev", tarfile.CHRTYPE, "")],
        [("pipe", tarfile.FIFOTYPE, "")],
        [("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [("a", tarfile.REGTYPE, ""), ("b", tarfile.LNKTYPE, "a")],
    ],
)
def test_what_leads_out_or_is_no_file_is_refused(tmp_path: Path, members: list[tuple[str, bytes, str]]) -> None:
    """Nothing is written outside."""
    with pytest.raises(WherryError):
        unpacked(packed(*members), tmp_path / "in")
    assert {path.name for path in tmp_path.iterdir()} <= {"in"}


def test_a_link_can_not_be_written_through(tmp_path: Path) -> None:
    """An absolute link means a place in the folder."""
    (tmp_path / "out").mkdir()
    blob = packed(("way", tarfile.SYMTYPE, str(tmp_path / "out")), ("way/file", tarfile.REGTYPE, ""))
    with suppress(WherryError):
        unpacked(blob, tmp_path / "in")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", [".git/config", "a/.GIT/config", ".git"])
def test_sources_of_go_bring_no_repository(tmp_path: Path, name: str) -> None:
    """Its settings could name programs for git to start."""
    blob = packed((name, tarfile.REGTYPE, ""))
    with pytest.raises(WherryError, match="come without"):
        unpack_context(iter([blob]), tmp_path / "in", LIMIT, git=False)
    unpack_context(iter([blob]), tmp_path / "docker", LIMIT)


def test_bombs_and_damage_are_refused(tmp_path: Path) -> None:
    """Too many bytes, no zstd, a cut."""
    whole = packed(("a", tarfile.REGTYPE, ""), content=bytes(2 * LIMIT))
    for number, blob in enumerate((whole, b"no zstd", whole[:40])):
        with pytest.raises(WherryError):
            unpacked(blob, tmp_path / str(number))


@given(st.binary(max_size=2000))
def test_any_bytes_end_well(blob: bytes) -> None:
    """Whatever comes, the error is one of ours, and nothing is unpacked of it."""
    with pytest.raises(WherryError):
        unpack_context(iter([blob]), Path("/nonexistent/never"), LIMIT)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (CompileFailed("main.go:3:15: undefined: x"), "source"),
        (CompileFailed('go: a@v1: Get "https://p/": dial tcp: lookup p: no such host'), "machine"),
        (CompileFailed("x: /go/compile: signal: killed"), "machine"),
        (CompileFailed("write x: no space left on device"), "machine"),
        (CompileFailed("verifying a@v1: checksum mismatch"), "source"),
        (StepFailed(["make"], 2, ""), "source"),
        (StepFailed(["make"], 137, ""), "machine"),
        (DockerfileError("unknown instruction"), "source"),
        (InvalidSettings("wherry.toml: line 1"), "source"),
        (NotFound("x: no such file"), "source"),
        (NotInRegistry("base: not found"), "source"),
        (RegistryError("502"), "registry"),
        (AccessDenied("401"), "registry"),
        (CannotWrite("full"), "machine"),
        (HostUnable("no go"), "machine"),
        (Cancelled(), "machine"),
        (WherryError("other"), "machine"),
    ],
)  # fmt: skip
def test_who_is_at_fault(error: WherryError, fault: str) -> None:
    """Sources are where the same sources fail again."""
    found = fault_of(error, Surroundings(memory=64 << 20))
    assert (found.fault, bool(found.message)) == (fault, True)


def test_a_process_that_the_kernel_ended_is_no_fault_of_the_sources() -> None:
    """The memory there was, and what to set, are in the words."""
    error = CompileFailed("example.com/a does not compile for linux/amd64:\n  compile: signal: killed")
    found = fault_of(error, Surroundings(memory=64 << 20, killed=True))
    assert "memory of 64 MiB is used up" in found.message
    assert "memory limit" in found.hint


@pytest.mark.parametrize(
    ("text", "target", "runs", "needs"),
    [
        ('FROM scratch\nCMD ["a"]\n', "", False, False),
        ("FROM scratch\nCOPY a b\n", "", False, True),
        ("FROM a\nRUN b\n", "", True, True),
        ("FROM a AS x\nRUN b\nFROM scratch\nENV a=b\n", "", False, False),
        ("FROM a AS x\nRUN b\nFROM scratch\nCOPY --from=x /a /a\n", "", True, True),
        ("FROM a AS x\nRUN b\nFROM scratch\n", "x", True, True),
        ("ARG B=x\nFROM a AS x\nRUN b\nFROM $B\n", "", True, True),
    ],
)  # fmt: skip
def test_what_a_dockerfile_needs(text: str, target: str, *, runs: bool, needs: bool) -> None:
    """Stages that nothing needs do not count; what a variable may name does."""
    assert (runs_programs(text, target), needs_namespace(text, target)) == (runs, needs)


def test_what_a_namespace_forbids() -> None:
    """By its labels; without one nothing is forbidden, and a word that nobody knows is the strictest."""
    label = "pod-security.kubernetes.io/enforce"
    assert dockerfiles_in_pods({}).works
    assert dockerfiles_in_pods({label: "privileged"}).seccomp == "Unconfined"
    for level in ("restricted", "what"):
        found = dockerfiles_in_pods({label: level})
        assert (found.works, found.level) == (False, "restricted")
        assert "seccompProfile" in found.missing[0]
        assert "privileged" in found.remedy
    assert len(missing_here().splitlines()) == 4


def test_each_platform_has_a_cache_of_its_own() -> None:
    """Pods side by side must not write one tag."""
    names = cache_names(("r.example/c:go", "type=registry,ref=r.example/c,mode=max"), "linux/arm/v7")
    assert names == (
        "type=registry,ref=r.example/c:go-linux-arm-v7", "type=registry,ref=r.example/c:latest-linux-arm-v7,mode=max"
    )  # fmt: skip
