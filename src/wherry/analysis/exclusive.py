"""What would go: exclusive bytes of packages and modules, by the import graph, put into the size document."""

from collections.abc import Mapping

import msgspec

from wherry.analysis.imports import ImportGraph
from wherry.analysis.size import BinarySize, ModuleSize


def with_graph(binary: BinarySize, graph: ImportGraph, routes_to: str = "") -> BinarySize:
    """Add what the import graph tells.

    Args:
        binary: a binary with owners.
        graph: the imports of its packages.
        routes_to: the module or package to find import chains to.
    """
    sizes = {package.path: package.bytes for package in binary.packages}
    alone = graph.exclusive_sizes(sizes)
    members: dict[str, set[str]] = {}
    for package in binary.packages:
        members.setdefault(package.module, set()).add(package.path)
    return msgspec.structs.replace(
        binary,
        packages=tuple(msgspec.structs.replace(one, exclusive=alone.get(one.path)) for one in binary.packages),
        modules=tuple(_module(one, members[one.path], graph, sizes, routes_to) for one in binary.modules),
    )


def _module(
    module: ModuleSize, members: set[str], graph: ImportGraph, sizes: Mapping[str, int], routes_to: str
) -> ModuleSize:
    known = members & set(graph.imports)
    wanted = known if routes_to == module.path else {routes_to} & known
    routes = tuple(graph.routes(wanted)) if wanted else ()
    # The main package is never given up, and Go's own packages can't be.
    if not module.path or "main" in known or not known or module.path == "std":
        return msgspec.structs.replace(module, routes=routes)
    exclusive = sum(sizes.get(package, 0) for package in graph.exclusive(known) | members)
    return msgspec.structs.replace(module, exclusive=exclusive, routes=routes)
