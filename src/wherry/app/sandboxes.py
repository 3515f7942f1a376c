"""What sandboxes get from the session: the caller's ids, the trees in the cache, why they may be refused."""

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.app.progress import moving_of
from wherry.app.session import Session
from wherry.host.kernel import Kernel, id_map, sub_ids
from wherry.sandbox.ids import Caller, Mapping
from wherry.sandbox.snapshot_writer import SandboxSnapshotWriter
from wherry.snapshots.snapshots import Snapshots
from wherry.store.contract import BlobSource, CountedSource

if TYPE_CHECKING:
    from wherry.digest import Digest
    from wherry.layer.entry import Entry
    from wherry.layer.room import Room
    from wherry.layer.tar import TarBody
    from wherry.oci.descriptor import Descriptor


def mapping_of(session: Session) -> Mapping:
    """Report which ids a sandbox of this process's user can have."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = ""
    mappers = [_which(session, "newuidmap"), _which(session, "newgidmap")]
    caller = Caller(
        uid=uid,
        gid=gid,
        uid_map=id_map(_text("/proc/self/uid_map")),
        gid_map=id_map(_text("/proc/self/gid_map")),
        sub_uids=sub_ids(_text("/etc/subuid"), name, uid),
        sub_gids=sub_ids(_text("/etc/subgid"), name, uid),
        mappers=tuple(path for path in mappers if path) if all(mappers) else (),
    )
    return Mapping.of(caller)


def trees_of(session: Session, mapping: Mapping, source: BlobSource) -> "Snapshots[tuple[Entry, TarBody]]":
    """Open the trees in the cache.

    Args:
        session: the owner of the cache.
        mapping: the ids they are unpacked with.
        source: where layers come from.
    """
    writer = SandboxSnapshotWriter(mapping, why_refused(mapping), room_of(session))
    return Snapshots(session.cache_folder / "trees", writer, layer_reader(session, source))


def layer_reader(
    session: Session, source: BlobSource
) -> "Callable[[Descriptor, Digest], Iterator[tuple[Entry, TarBody]]]":
    """Give what reads a layer's entries from a source; it fails at their end if the diff id is another."""

    def read(blob: "Descriptor", diff_id: "Digest") -> "Iterator[tuple[Entry, TarBody]]":
        from wherry.layer.decompress import LARGEST, open_layer
        from wherry.layer.tar import read_tar

        limit = max(LARGEST, session.unpack_limit)
        with moving_of(session.progress)(f"unpack layer {blob.digest.short}") as moved:
            yield from read_tar(
                open_layer(CountedSource(source, moved), blob, diff_id, limit=limit), f"layer {blob.digest}"
            )

    return read


def room_of(session: Session) -> "Room":
    """Give what one command may unpack into the cache."""
    from wherry.layer.room import Room

    return Room(
        session.cache_folder, session.unpack_limit, hint="if it has to be so large: wherry --unpack-limit 200GB …"
    )


def why_refused(mapping: Mapping) -> Callable[[], str]:
    """Give a function that says what to do where this machine refuses a sandbox."""

    def why() -> str:
        kernel, root = Kernel.of_host(), mapping.kind == "all"
        answers = (kernel.sandbox(), kernel.user_namespaces(root=root), kernel.overlay(root=root))
        for ability in answers:
            if not ability.works:
                return f"{ability.reason}; {ability.remedy}"
        return next((ability.remedy for ability in answers if ability.remedy), "") or "`dmesg` may show what refused it"

    return why


def _which(session: Session, program: str) -> str:
    from wherry.host.process import which

    return which(program, session.environment.get("PATH", os.defpath)) or ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
