"""URLs that a registry names: redirects, places of uploads, next pages, realms.

Source: RFC 3986, sections 3.2 and 5.
"""

from urllib.parse import urljoin, urlsplit

from wherry.registry.errors import RegistryError


def resolve(base: str, target: str, registry: str) -> str:
    """Resolve what a registry names against where it was named; an empty base leaves it as it is.

    Raises:
        RegistryError: it is no URL, such as one with a port beyond 65535.
    """
    try:
        url = urljoin(base, target)
        _ = urlsplit(url).port, url.encode()
    except ValueError as error:
        raise RegistryError(
            f"{registry}: it names an invalid URL, {target[:200]!r}",
            hint="nothing was sent there; contact the registry's operator",
        ) from error
    return url
