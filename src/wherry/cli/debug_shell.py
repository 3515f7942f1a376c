"""`wherry build --debug-shell`: open a shell in a step that failed."""

import os
import sys
from collections.abc import Callable

from wherry.app.sandboxes import why_refused
from wherry.cli.world import World
from wherry.host.process import which
from wherry.sandbox.ids import Mapping as Ids
from wherry.sandbox.spec import Container, HostMount


class DebugShell:
    """A shell in a failed step: in its rootfs, with its mounts, as its user."""

    def __init__(self, world: World, mapping: Ids, notice: Callable[[str], None]) -> None:
        self._world = world
        self._mapping = mapping
        self._notice = notice

    def open(self, job: Container, code: int) -> None:
        """Open the shell; its changes are discarded."""
        from wherry.sandbox.attach import run_container
        from wherry.sandbox.layer_stack import LayerStack

        argv, volumes = ["/bin/sh"], job["volumes"]
        if LayerStack([*job["layers"], f"{job['writable']}/tree"]).status("/bin/sh") is None:
            busybox = which("busybox", self._world.environment.get("PATH", os.defpath))
            if busybox is None:
                self._notice("--debug-shell: the root has no shell, and this machine has no busybox to use instead")
                return
            argv = ["/.wherry/busybox", "sh"]
            program: HostMount = {
                "source": busybox, "destination": "/.wherry/busybox", "read_only": True, "provided": False,
            }  # fmt: skip
            volumes = [*volumes, program]
        self._notice(f"the step exited with code {code}; this shell runs in its place, `exit` leaves it")
        shell: Container = {
            **job,
            "argv": argv,
            "volumes": volumes,
            "ids": self._mapping.for_user(job["uid"], job["gid"]),
            "layers": [*job["layers"], f"{job['writable']}/tree"],
            "writable": "",
            "own_tmp": False,
            "terminal": sys.stdin.isatty() and self._world.stdout.isatty(),
        }
        run_container(shell, stdin=True, notice=self._notice, why=why_refused(self._mapping))
