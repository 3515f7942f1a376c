"""Import graphs: routes, and what would go."""

from hypothesis import given
from hypothesis import strategies as st

from wherry.analysis.imports import ImportGraph

GRAPH = ImportGraph({
    "main": ("a", "b"), "a": ("c", "shared"), "b": ("shared",), "c": ("deep",), "shared": (), "deep": (),
    "lost": ("deep",),
})  # fmt: skip
NODES = ["main", *(f"p{number}" for number in range(8))]
EDGES = st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=24)


def graph_of(edges: list[tuple[str, str]]) -> ImportGraph:
    """Make a graph; loops are allowed, though Go has none."""
    imports: dict[str, tuple[str, ...]] = dict.fromkeys(NODES, ())
    for importer, imported in edges:
        if imported != "main":
            imports[importer] = (*imports[importer], imported)
    return ImportGraph(imports)


def test_exclusive():
    """What only one package brings in would go with it; what another needs too stays."""
    assert GRAPH.exclusive({"a"}) == {"a", "c", "deep"}
    assert GRAPH.exclusive({"shared"}) == {"shared"}


def test_routes():
    """There is a route for each import from outside, shortest first."""
    assert GRAPH.routes({"shared"}) == [("main", "a", "shared"), ("main", "b", "shared")]
    assert GRAPH.routes({"deep", "c"}) == [("main", "a", "c")]


def test_what_nothing_imports_is_not_counted():
    """A package that main does not reach has no place in the sums."""
    sums = GRAPH.exclusive_sizes(dict.fromkeys(GRAPH.imports, 1))

    assert "lost" not in sums
    assert sums["main"] == 6
    assert sums["a"] == 3


@given(EDGES)
def test_dominators_are_what_removal_shows(edges):
    """For each package, the sum by dominators is the sum of what is gone without it."""
    graph = graph_of(edges)
    sizes = {name: 1 << at for at, name in enumerate(NODES)}

    sums = graph.exclusive_sizes(sizes)

    for package in graph.reachable() - {"main"}:
        assert sums[package] == sum(sizes[gone] for gone in graph.exclusive({package}))
