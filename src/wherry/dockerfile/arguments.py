"""Arguments that every Dockerfile has without declaring them, as values.

Source: Dockerfile reference, "Automatic platform ARGs in the global scope", "Predefined ARGs".
"""

from collections.abc import Mapping

from wherry.platform import Platform

NOT_IN_ENVIRONMENT = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
"""Arguments that a stage may declare, but that no word and no step sees."""


def platform_arguments(
    build: Platform, platform: Platform, target: str, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Give what is set before the first line; a stage sees it once it has declared it.

    Args:
        build: where steps run.
        platform: what the image is for.
        target: the stage that is asked for; empty where it has no name.
        given: `--build-arg`, which win.
    """
    values = {
        "BUILDPLATFORM": str(build),
        "BUILDOS": build.os,
        "BUILDOSVERSION": "",
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant,
        "TARGETPLATFORM": str(platform),
        "TARGETOS": platform.os,
        "TARGETOSVERSION": "",
        "TARGETARCH": platform.architecture,
        "TARGETVARIANT": platform.variant,
        "TARGETSTAGE": target or "default",
    }
    return {name: (given or {}).get(name, value) for name, value in values.items()}
