"""Advice about the user that the image's program runs as."""

from wherry.dockerfile import instructions as of
from wherry.dockerfile.advice.stages import Advised
from wherry.dockerfile.words import expand

_ROOT = frozenset({"", "0", "root"})
_DROPPERS = ("gosu", "su-exec", "setpriv", "s6-", "runuser", "fixuid", "suexec", "chroot --userspec")
"""What programs that begin as root become another user by."""


def judge_user(file: Advised) -> None:
    """Find images that start a program as root."""
    starts = None
    user: tuple[str, of.Instruction] | None = None
    for stage in file.shipped:
        for one in stage.stage.instructions:
            if isinstance(one, of.User):
                user = one.user, one
            elif isinstance(one, of.Cmd | of.Entrypoint):
                starts = one
            if any(word in one.text for word in _DROPPERS):
                return
    if user is not None:
        if expand(user[0].partition(":")[0], {}).text in _ROOT and "$" not in user[0]:
            file.add("root-user", user[1], "", certain=starts is not None)
        return
    if starts is not None:
        _judge_base(file)


def _judge_base(file: Advised) -> None:
    """Judge an image that sets no user: its base may."""
    image = file.shipped[0].image
    if "nonroot" in image or "rootless" in image or "unprivileged" in image:
        return
    if image == "scratch":
        file.add("root-user", file.final.stage.base, ": no stage of it has a USER")
        return
    base = file.around.base(image, file.around.platform) if image else None
    if base is None:
        unsure = f"{image} is not available; it may set a user" if image else "the base is not known; it may set a user"
        file.add("root-user", file.final.stage.base, ", unless its base sets a user", unsure=unsure)
    elif base.user.partition(":")[0] in _ROOT:
        file.add("root-user", file.final.stage.base, ": neither it nor its base sets a user")
