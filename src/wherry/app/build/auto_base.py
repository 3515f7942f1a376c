"""`--base auto`: the smallest of wherry's bases that has what the linked packages of a program can ask for.

What is linked holds for every run of the program, so nothing is run to choose. The program is built first, on the
largest of them, and asked; the image on the chosen base then takes its program from the cache.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wherry.app.build.go_checks import CannotStart
from wherry.app.build.go_work import AUTO, GoRequest, GoRequests
from wherry.app.session import Session
from wherry.pipeline import BuildSetup, build

if TYPE_CHECKING:
    from wherry.analysis.deps.document import BaseAdvice
    from wherry.app.build.call import Call
    from wherry.app.build.result import BuiltImage

ORDER: Final = ("scratch", "static-notz", "static")
"""From the smallest: each has what those before it have."""


def with_chosen_bases(session: Session, call: "Call", setup: BuildSetup) -> "Call":
    """Give a call in which every base `auto` is a chosen one; the choice and its reason are reported.

    Raises:
        CannotStart: a program needs a base that wherry does not have.
    """
    if not isinstance(call.request, GoRequests) or all(one.base != AUTO for one in call.request.images):
        return call
    asked = [one for one in call.request.images if one.base == AUTO]
    first = GoRequests(tuple(replace(one, names=(), debug_info=None) for one in asked))
    try:
        built = build(setup, first).result
    except CannotStart as error:
        raise CannotStart(
            f"{error.message}\n  --base auto chooses among {', '.join(ORDER)}, which have no dynamic linker",
            hint="build it without cgo, or name a base that has the libraries, such as deb:base",
        ) from error
    chosen = {
        request.package.import_path: _chosen(session, image) for request, image in zip(asked, built.images, strict=True)
    }
    return replace(
        call,
        request=_on(call.request, chosen),
        fallback=_on(call.fallback, chosen) if isinstance(call.fallback, GoRequests) else call.fallback,
    )


def _on(requests: GoRequests, chosen: dict[str, str]) -> GoRequests:
    def placed(one: GoRequest) -> GoRequest:
        return replace(one, base=chosen[one.package.import_path]) if one.base == AUTO else one

    return GoRequests(tuple(map(placed, requests.images)))


def _chosen(session: Session, image: "BuiltImage") -> str:
    """Choose for all platforms of an image: of what each needs, the largest."""
    from wherry.app.deps import advice_of

    advice = [advice_of(session, session.store, one) for one in image.images]
    found = max(advice, key=lambda one: ORDER.index(one.base) if one.base in ORDER else len(ORDER))
    if found.base not in ORDER:
        session.progress.line(f"base auto: static, the largest; {found.why}")
        return ORDER[-1]
    session.progress.line(f"base auto: {found.base}; {_why(found)}")
    return found.base


def _why(advice: "BaseAdvice") -> str:
    """Say why it is not the next smaller one, and what it has that can be asked for."""
    option = next(one for one in advice.options if one.name == advice.base)
    lacks = f"; it lacks {', '.join(text.partition(':')[0] for text in option.lacks)}" if option.lacks else ""
    return f"{advice.why}{lacks}"
