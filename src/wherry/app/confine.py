"""The runtime's side of an image, written from it: what confines a container that an image can't say."""

import json

from wherry.analysis.confine.runtime_config import Tightness, dev_lines, oci_config, pod_lines
from wherry.app.images import open_image
from wherry.app.session import Session
from wherry.errors import InvalidUsage
from wherry.platform import Platform

FORMS = ("oci", "kubernetes")


def runtime_configuration(
    session: Session, name: str, form: str, how: Tightness, *, platform: str | None = None
) -> tuple[str, tuple[str, ...]]:
    """Write it for one image; give commands that the host needs first, too.

    Args:
        session: where the image is.
        name: an image, as `open_image` takes it.
        form: one of `FORMS`.
        how: how tight.
        platform: of an image with several; None: this machine's, or the only one.

    Raises:
        NotFound: there is no such image.
        InvalidUsage: its settings can't be confined.
    """
    if not how.dev.startswith("/") or any(not letter.isprintable() or letter.isspace() for letter in how.dev):
        raise InvalidUsage(f"--dev {how.dev!r}: not an absolute path", hint="write it as /run/wherry/dev")
    images = open_image(session, name).images(Platform.parse(platform) if platform else None)
    runtime = images[0].config.runtime
    if form == "oci":
        return json.dumps(oci_config(runtime, how), indent=2), tuple(dev_lines(how))
    return "\n".join(pod_lines(runtime, how)), ()
