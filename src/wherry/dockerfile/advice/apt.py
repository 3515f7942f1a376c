"""Advice about apt in steps that become part of the image: package lists, and cache mounts that belong together.

Source: Dockerfile reference, "RUN --mount=type=cache", example "cache apt packages"; apt-get(8), `dist-clean`.
"""

import posixpath

from wherry.dockerfile.advice.stages import Advised, RunStep

_APT = ("apt", "apt-get", "aptitude")
_LISTS = "/var/lib/apt"
_ARCHIVES = "/var/cache/apt"


def judge_apt(file: Advised) -> None:
    """Find steps that leave package lists in the image, and cache mounts of apt without their other half."""
    for stage in file.shipped:
        for step in stage.steps:
            _judge_lists(file, step)
    for stage in file.wanted:
        for step in stage.steps:
            _judge_mounts(file, step)


def _judge_lists(file: Advised, step: RunStep) -> None:
    updates = [one.program for one in step.commands if one.program in _APT and "update" in one.plain()]
    if not updates or _mounted(step, _LISTS) or _mounted(step, f"{_LISTS}/lists") or _cleaned(step):
        return
    file.add("apt-lists-left", step.run, updates[0])


def _cleaned(step: RunStep) -> bool:
    """Report whether a step removes the lists, or calls a script that says it cleans up."""
    for command in step.commands:
        words = " ".join(command.words)
        if command.program in _APT and {"dist-clean", "distclean"} & set(command.plain()):
            return True
        if command.program in ("rm", "find") and any(
            word.rstrip("/*").startswith((f"{_LISTS}/lists", _LISTS)) or word in ("/var/lib/*", "/var/lib/")
            for word in command.arguments
        ):
            return True
        if "lists" in words and command.program in ("rm", "find", "xargs"):
            return True
        if command.program not in _APT and "clean" in words:
            return True
    return False


def _mounted(step: RunStep, path: str) -> bool:
    return any(
        mount.type in ("cache", "tmpfs") and posixpath.normpath(mount.target or "/") in _above(path)
        for mount in step.mounts
    )


def _above(path: str) -> tuple[str, ...]:
    """Give a path and the folders above it."""
    found = [path]
    while (path := posixpath.dirname(path)) != "/":
        found.append(path)
    return tuple(found)


def _judge_mounts(file: Advised, step: RunStep) -> None:
    if not any(one.program in _APT and "install" in one.plain() for one in step.commands):
        return
    lists = _mounted(step, _LISTS) or _mounted(step, f"{_LISTS}/lists")
    archives = _mounted(step, _ARCHIVES) or _mounted(step, f"{_ARCHIVES}/archives")
    if archives and not lists:
        file.add("apt-cache-mount-missing", step.run, _ARCHIVES, _LISTS, "the package lists")
    elif lists and not archives:
        file.add("apt-cache-mount-missing", step.run, _LISTS, _ARCHIVES, "the packages")
