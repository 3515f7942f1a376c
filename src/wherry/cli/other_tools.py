"""Commands and options of docker and ko that wherry does not have, and what to use in their place.

Sources: the pages of `docker run`, `docker buildx build` and `ko`.
`wherry help docker` and `wherry help from-ko` have the tables.
"""

from collections.abc import Mapping

_MEMORY = "limit it from outside: systemd-run --user --scope -p MemoryMax=1G wherry …"
_REMOVED = "leave it out: wherry leaves no build containers behind"
_NO_ATTESTATION = "use --sbom spdx and --provenance"

COMMANDS: Mapping[str, str] = {
    "buildx": "use `wherry build`",
    "publish": "use `wherry build --push`",
    "delete": "use `kubectl delete -f`",
    "start": "a container that ended is not started again; use `wherry run`",
    "restart": "use `wherry stop --rm NAME`, then `wherry run`",
    "attach": "use `wherry logs -f NAME`, or `wherry exec -it NAME PROGRAM`",
    "wait": "use `wherry run` without -d, or `wherry ps -a`, which shows exit codes",
    "container": "use `wherry ps`, `logs`, `exec`, `stop` or `kill`",
    "rmi": "use `wherry rm`",
    "ls": "use `wherry images`",
    "prune": "use `wherry gc`",
    "system": "use `wherry du`, `wherry gc` or `wherry doctor`",
    "info": "use `wherry doctor`",
    "image": "use `wherry images`, `inspect`, `tag`, `rm`, `save` or `load`",
}
"""By docker's or ko's command."""

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "build": {
        "--rm": _REMOVED,
        "--force-rm": _REMOVED,
        "--attest": _NO_ATTESTATION,
        "--squash": "copy into a last stage instead: FROM scratch, then COPY --from=STAGE / /",
        "--compress": "leave it out: nothing is sent to a daemon",
        "--memory": _MEMORY,
        "-m": _MEMORY,
    },
    "run": {
        "--restart": "let systemd restart it",
        "--memory-swap": "leave it out: as much swap as --memory may be used",
        "--mount": "use -v SRC:DST[:ro]",
        "--tmpfs": "use -v DIR:PATH; /tmp is there in any case",
        "--privileged": "not supported; --cap-add adds a capability",
        "--device": "not supported; -v mounts a file or a directory",
        "-P": "name each port with -p PORT:PORT",
        "--publish-all": "name each port with -p PORT:PORT",
        "--pull": "use `wherry pull`, then `wherry run`",
    },
}
"""By command of wherry: docker's option, as it was written, without a value."""
