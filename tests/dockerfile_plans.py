"""Plans of Dockerfiles whose bases are documents in memory: nothing is built and nothing is fetched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wherry.dockerfile.parser import parse
from wherry.errors import NotFound
from wherry.oci import media
from wherry.oci.config import ImageConfig, RootFS, RuntimeConfig
from wherry.oci.descriptor import Descriptor
from wherry.oci.image import Image
from wherry.oci.manifest import Manifest
from wherry.plan.dockerfile import plan_dockerfile
from wherry.plan.dockerfile_target import DockerfileTarget, PlannedImages, StageLayerOptions
from wherry.plan.graph import Step
from wherry.plan.stage_state import StageOptions
from wherry.platform import Platform

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Bases:
    """Images by name, without layers; it remembers which were read."""

    configs: Mapping[str, RuntimeConfig] = field(default_factory=lambda: {"base": RuntimeConfig(env=(PATH,))})
    read: list[tuple[str, Platform]] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Tell whether there is one."""
        return name in self.configs

    def image(self, name: str, platform: Platform) -> Image:
        """Give an image's documents."""
        self.read.append((name, platform))
        if name not in self.configs:
            raise NotFound(f"{name}: no such image", hint="build it first")
        config = ImageConfig(
            architecture=platform.architecture,
            os=platform.os,
            variant=platform.variant,
            config=self.configs[name],
            rootfs=RootFS(diff_ids=()),
        )
        manifest = Manifest.of(Descriptor.of(media.OCI_CONFIG, config.encoded()), ())
        return Image.of(Descriptor.of(media.OCI_MANIFEST, manifest.encoded()), manifest, config)


def request(text: str, **values: Any) -> DockerfileTarget:
    """Ask for the last stage on one platform, with nothing else set."""
    standard: dict[str, Any] = {
        "file": parse(text),
        "contexts": {},
        "context_images": {},
        "platforms": (AMD64,),
        "build_platform": AMD64,
        "implicit": False,
        "target": "",
        "options": StageOptions(),
        "changes": RuntimeConfig(),
        "added": (),
        "annotations": (),
        "packing": StageLayerOptions(algorithm="gzip", level=5, encoder="isal 1"),
        "no_cache": frozenset(),
        "cache_scope": "here",
    }
    return DockerfileTarget(**standard | values)


def planned(text: str, bases: Bases | None = None, **values: Any) -> PlannedImages:
    """Plan a Dockerfile."""
    return plan_dockerfile(request(text, **values), bases or Bases())


def steps_of(text: str, kind: type, **values: Any) -> list[Step]:
    """Plan a Dockerfile; give the steps of one kind, in order."""
    return [step for step in planned(text, **values).plan.steps if isinstance(step.action, kind)]
