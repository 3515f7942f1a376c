"""The HTML page of an image's bytes, made from what was measured: a verb of the Python API, and `wherry report`."""

from wherry.analysis.size import SizeDocument
from wherry.app.session import Session
from wherry.app.sizes import size


def report(
    subject: str | SizeDocument,
    *,
    against: str | SizeDocument | None = None,
    platform: str | None = None,
    source: str | None = None,
    routes_to: str = "",
    session: Session | None = None,
) -> bytes:
    """Write one HTML page that shows where the bytes of an image or a program are; it needs no network.

    Args:
        subject: a file, an image, or what `size` gave.
        against: what it is compared with: the page then shows changes; None: nothing.
        platform: of an image with several, the only one; None: all.
        source: the module's source, which tells what imports what; None: the session's folder, if it is that module.
        routes_to: a module; every import path to it is shown.
        session: where it is looked for; None: `Session.of_user()`.

    Returns:
        The page, UTF-8.

    Raises:
        NotFound: there is no such thing, or no program in it.
    """
    from wherry.report.html import page_of

    if isinstance(subject, str) or isinstance(against, str):
        own = session or Session.of_user()
        if isinstance(subject, str):
            subject = size(own, subject, platform=platform, source=source, routes_to=routes_to)
        if isinstance(against, str):
            against = size(own, against, platform=platform)
    return page_of(subject, against=against)
