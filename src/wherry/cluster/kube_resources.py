"""Kinds of objects of the Kubernetes API: how their URLs are made, and how people call them.

Source: Kubernetes 1.34, "Kubernetes API Concepts", resource URIs.
"""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class KubeResource:
    """A kind of objects."""

    plural: str
    group: str = ""
    """Empty: the core group."""
    version: str = "v1"
    namespaced: bool = True

    @property
    def title(self) -> str:
        """Its name as `kubectl` and roles have it: `pods`, `jobs.batch`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", sub: str = "") -> str:
        """Give the path of an object, or of all of them; without a namespace, of every namespace."""
        words = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace and self.namespaced:
            words += ["namespaces", _quoted(namespace)]
        words.append(self.plural)
        if name:
            words.append(_quoted(name))
        if sub:
            words.append(sub)
        return "/".join(words)


def _quoted(word: str) -> str:
    return quote(word, safe="")


PODS = KubeResource("pods")
SECRETS = KubeResource("secrets")
CONFIG_MAPS = KubeResource("configmaps")
EVENTS = KubeResource("events")
NODES = KubeResource("nodes", namespaced=False)
NAMESPACES = KubeResource("namespaces", namespaced=False)
JOBS = KubeResource("jobs", "batch")
ACCESS_REVIEWS = KubeResource("selfsubjectaccessreviews", "authorization.k8s.io", namespaced=False)
