"""Folders of killed builds are deleted; those of builds at work never."""

import os
import subprocess
import sys

from wherry.build.link_folders import LinkFolder


def _aged(folder):
    os.utime(folder, (0, 0))
    return folder


def test_only_what_killed_builds_left_goes(tmp_path):
    """An old folder goes unless a process holds it, or it is too young to be locked yet."""
    ours = LinkFolder.make(tmp_path)
    _aged(ours.path)
    script = (
        "import sys; from pathlib import Path; from wherry.build.link_folders import LinkFolder; "
        "print(LinkFolder.make(Path(sys.argv[1])).path)"
    )
    words = [sys.executable, "-c", script, str(tmp_path)]
    killed = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    young = tmp_path / "link-young"
    young.mkdir()
    (tmp_path / "link-old" / "deep").mkdir(parents=True)
    _aged(tmp_path / "link-old")
    _aged(killed)

    second = LinkFolder.make(tmp_path)
    assert set(tmp_path.iterdir()) == {ours.path, second.path, young}
    second.delete()
    ours.delete()
    assert list(tmp_path.iterdir()) == [young]
