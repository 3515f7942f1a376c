"""Where podman keeps its containers, from containers/storage's settings.

Source: containers/storage, docs/containers-storage.conf.5.md (`[storage]`: `graphroot`, `rootless_storage_path`).
"""

import tomllib


def graph_roots(document: bytes) -> tuple[str, ...]:
    """Give the folders that a `storage.conf` names, `$HOME` and `$UID` not replaced; none where it is not TOML."""
    try:
        table = tomllib.loads(document.decode()).get("storage")
    except (ValueError, RecursionError):
        return ()
    named = [table.get(key) for key in ("graphroot", "rootless_storage_path")] if isinstance(table, dict) else []
    return tuple(
        name for name in named if isinstance(name, str) and name.startswith(("/", "$HOME/")) and "\0" not in name
    )
