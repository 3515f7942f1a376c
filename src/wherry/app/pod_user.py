"""Who a container of a pod runs as: what the pod says, and what its image has where the pod says nothing."""

from typing import TYPE_CHECKING

from wherry.errors import WherryError

if TYPE_CHECKING:
    from wherry.app.session import Session
    from wherry.cluster.pod_debug import PodTarget
    from wherry.oci.image import Image
    from wherry.sandbox.accounts import AccountFiles
    from wherry.store.contract import BlobSource

_FILES = ("etc/passwd", "etc/group")


def pod_user(session: "Session", target: "PodTarget") -> tuple[int | None, int | None]:
    """Find the user and group of a container, as its runtime does.

    A group that the pod does not name is the one of the user's line in the image's own /etc/passwd, else 0, whatever
    group the image's config names: the kubelet hands on its user alone. The kernel compares both before it shows one
    process the files of another.

    Returns:
        None for each that only the image could say, and the image can't be read.

    Sources: Kubernetes 1.34, pkg/kubelet/kuberuntime/security_context.go; containerd 1.7, oci.WithUser.
    """
    if target.user is not None and target.group is not None:
        return target.user, target.group
    from wherry.app.places import find
    from wherry.host.kernel import Kernel
    from wherry.store.images import image_for

    name = target.image_id.rpartition("://")[2] if "@" in target.image_id else target.image
    try:
        located = find(session, name)
        image = image_for(located.source, located.root, Kernel.of_host().platform, name)
        said = image.config.runtime.user.partition(":")[0] if target.user is None else str(target.user)
        found = _accounts(located.source, image).find(said)
    except WherryError:
        return target.user, target.group
    return found.uid, found.gid if target.group is None else target.group


def _accounts(source: "BlobSource", image: "Image") -> "AccountFiles":
    """Read an image's accounts from its layers, last first, and no more of them than it takes."""
    from wherry.layer.changes import WHITEOUT, layers_of
    from wherry.layer.entry import EntryKind
    from wherry.layer.tar import read_tar
    from wherry.sandbox.accounts import LARGEST, AccountFiles

    found: dict[str, str] = {}
    gone = {f"etc/{WHITEOUT}{path.removeprefix('etc/')}": path for path in _FILES}
    for opened in reversed(layers_of(source, image)):
        here: dict[str, str] = {}
        for entry, body in read_tar(opened(), "layer"):
            if entry.path in _FILES and entry.kind is EntryKind.FILE:
                here[entry.path] = body.read(LARGEST).decode(errors="replace")
            elif entry.path in gone:
                here.setdefault(gone[entry.path], "")
        found = {**here, **found}
        if len(found) == len(_FILES):
            break
    return AccountFiles(*(found.get(path, "") for path in _FILES))
