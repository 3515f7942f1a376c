"""Control groups: what is written where, in both versions, and what is said where none can be made."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers import ROOT, people
from needs import need_root
from wherry.errors import InvalidUsage
from wherry.host.cgroups import control_folders
from wherry.sandbox.control_groups import (
    ControlFolders,
    Limits,
    control_groups,
    parse_memory,
    parse_processors,
)
from wherry.sandbox.launcher import groups

ALL = Limits(processes=50, memory=64 << 20, processors=0.5)
FOLDERS = {"pids": ("/p",), "memory": ("/m",), "cpu": ("/c",)}


def test_version_1():
    """One group a controller; the processor's period goes before its quota."""
    made = control_groups(ALL, ControlFolders(folders=FOLDERS))

    assert [(one["controllers"], one["parents"]) for one in made] == [
        (["pids"], ["/p"]), (["memory"], ["/m"]), (["cpu"], ["/c"]),
    ]  # fmt: skip
    assert made[1]["files"] == [("memory.limit_in_bytes", b"67108864")]
    assert made[1]["optional"] == [("memory.memsw.limit_in_bytes", b"134217728")]
    assert made[2]["files"] == [("cpu.cfs_period_us", b"100000"), ("cpu.cfs_quota_us", b"50000")]
    assert control_groups(Limits(), ControlFolders(folders=FOLDERS)) == []


def test_version_2():
    """One group for all of them: a process is in one only."""
    (made,) = control_groups(ALL, ControlFolders(unified=True, folders=dict.fromkeys(FOLDERS, ("/u",))))

    assert (made["controllers"], made["parents"]) == (["pids", "memory", "cpu"], ["/u"])
    assert made["files"] == [("pids.max", b"50"), ("memory.max", b"67108864"), ("cpu.max", b"50000 100000")]
    assert made["optional"] == [("memory.swap.max", b"67108864")]
    assert made["what"] == "the number of processes and memory and processors"


@pytest.mark.parametrize(
    ("controllers", "said"),
    [("cpu pids", "the memory controller is not delegated"), ("cpu memory pids", "no memory.max")],
)
def test_what_is_not_delegated(tmp_path, controllers, said):
    """A folder that is no control group, or does not hand the controller down, is named with the reason."""
    (tmp_path / "cgroup.controllers").write_text(controllers)
    (tmp_path / "cgroup.subtree_control").write_text("")
    (wanted,) = control_groups(
        Limits(memory=64 << 20), ControlFolders(unified=True, folders={"memory": (str(tmp_path),)})
    )

    with pytest.raises(groups.NoGroup) as caught:
        groups.make(wanted)
    assert said in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_others_in_the_group(tmp_path):
    """Processes that are not of this call are left where they are."""
    (tmp_path / "cgroup.procs").write_text("1\n")

    with pytest.raises(OSError, match="other processes are in the group"):
        groups._move_below(str(tmp_path))
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    assert groups._descends(os.getpid(), os.getppid())
    assert not groups._descends(1, os.getppid())


def test_where_groups_are(tmp_path):
    """Version 2 has the same folders for all controllers; a mixture is not version 2."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/user/a").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").write_text("")
    (tmp_path / "proc/self/cgroup").write_text("0::/user/a\n")

    unified, folders = control_folders(tmp_path)
    assert unified
    assert folders["memory"] == folders["cpu"] == tuple(
        str(tmp_path / "sys/fs/cgroup" / name) for name in ("user/a", "user", "")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "size"),
    [("64m", 64 << 20), ("1.5G", 3 << 29), ("512MiB", 512 << 20), ("8388608", 8 << 20), ("8192kb", 8 << 20)],
)
def test_sizes(text, size):
    """Units are of 1024, as docker's are."""
    assert parse_memory(text) == size


@given(st.text(max_size=12))
def test_any_size(text):
    """Whatever is written is a number above 0, or refused."""
    for parse in (parse_memory, parse_processors):
        with suppress(InvalidUsage):
            assert parse(text) > 0


V2 = next((place for place in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
           if (place / "cgroup.controllers").exists()), Path("/nowhere"))  # fmt: skip
CALL = """
import os, sys
sys.path.insert(0, sys.argv[2])
from wherry.sandbox.launcher import groups
if os.fork() == 0:  # the launcher, below its caller
    wanted = {"what": "huge pages", "parents": [sys.argv[1]], "controllers": ["hugetlb"], "unified": True,
              "files": [("hugetlb.2MB.max", b"0")], "optional": [("none", b"1")], "required": True}
    group = groups.make(wanted)
    held = open(f"{group.folder}/hugetlb.2MB.max").read().strip()
    below = os.path.basename(open(f"/proc/{os.getppid()}/cgroup").read().split("::")[-1].strip())
    child = os.fork()
    if child == 0:
        group.join()
        os._exit(os.path.basename(group.folder) not in open("/proc/self/cgroup").read())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.rmdir(group.folder)
    print(code, held, below)
    sys.exit(0)
os.wait()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["root", "many"])
def test_a_delegated_group_of_version_2(kind):
    """In a real tree: our processes move below, the controller is handed down, the limit is written, a child joins.

    It is tried with the controller that machines of version 1 leave to version 2; the files of others are the same.
    """
    need_root()
    if "hugetlb" not in _words(V2 / "cgroup.controllers"):
        pytest.skip("no controller of version 2 is free here")
    handed = "hugetlb" in _words(V2 / "cgroup.subtree_control")
    delegated = V2 / f"wherry-delegated-{os.getpid()}"
    with people() as found:
        person = found[kind]
        (V2 / "cgroup.subtree_control").write_text("+hugetlb")
        delegated.mkdir()
        try:
            for name in ("", "cgroup.procs", "cgroup.subtree_control"):
                os.chown(delegated / name, person.uid, person.uid)
            start = f'echo $$ > {delegated}/cgroup.procs; exec setpriv --reuid={person.uid} --regid={person.uid} "$@"'
            words = ["/usr/bin/python3", "-I", "-c", CALL, str(delegated), str(ROOT / "src")]
            argv = ["sh", "-c", start, "sh", "--clear-groups", *words]
            ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        finally:
            for path in (*(one for one in delegated.iterdir() if one.is_dir()), delegated):
                path.rmdir()
            if not handed:
                (V2 / "cgroup.subtree_control").write_text("-hugetlb")

    code, held, below = ran.stdout.split() or ("", "", "")
    assert (code, held) == ("0", "0"), ran.stderr
    assert below.startswith("wherry-")
    assert below.endswith("-caller")


def _words(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []
