"""The HTML page of an image's bytes, made from what was measured: a verb of the Python API, and `wherry report`."""

from wherry.analysis.size import SizeDocument
from wherry.app.api.calls import Cancel
from wherry.app.api.judges import analyze, size
from wherry.app.session import Session


def report(  # noqa: PLR0913 - each is named
    subject: str | SizeDocument,
    *,
    against: str | SizeDocument | None = None,
    platform: str | None = None,
    source: str | None = None,
    routes_to: str = "",
    session: Session | None = None,
    cancel: Cancel | None = None,
) -> bytes:
    """Write one HTML page that shows where the bytes of an image or a program are; it needs no network.

    Args:
        subject: a file, an image, or a result of `size`.
        against: baseline to compare with, of the same kinds: the page then shows changes; None: no comparison.
        platform: the platform to show of a multi-platform image; None: all.
        source: directory of the module's source, used to read imports; None: the session's directory, if it is that
            module.
        routes_to: a module; show every import path to it.
        session: where files and images are; None: `Session.of_user()`.
        cancel: stops with `Cancelled` once its `is_set()` is true.

    Returns:
        The page, UTF-8.

    Raises:
        NotFound: the file or image does not exist, or contains no program.
    """
    from wherry.report.html import page_of

    analyzed = None
    if isinstance(subject, str) or isinstance(against, str):
        own = session or Session.of_user()
        if isinstance(subject, str):
            name = subject
            subject = size(subject, platform=platform, source=source, routes_to=routes_to, session=own, cancel=cancel)
            analyzed = analyze(name, platform=platform, session=own) if subject.layers else None
        if isinstance(against, str):
            against = size(against, platform=platform, session=own, cancel=cancel)
    return page_of(subject, against=against, analyzed=analyzed)
