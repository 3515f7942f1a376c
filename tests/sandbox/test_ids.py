"""Which users a sandbox has, for each kind of caller."""

import pytest

from wherry.errors import HostUnable
from wherry.sandbox.ids import Caller, Mapping

USER = Caller(
    1000, 1000, ((0, 0, 4294967295),), ((0, 0, 4294967295),), ((100000, 65536),), ((100000, 65536),), ("/u", "/g")
)


def caller(**values) -> Caller:
    """Change something about a user with sub-ids."""
    return Caller(**{name: getattr(USER, name) for name in USER.__slots__} | values)


def test_root_has_all_there_are():
    """Those of its own namespace, under the same numbers; trees need no namespace."""
    mapping = Mapping.of(caller(uid=0, uid_map=((0, 5000, 10), (10, 7000, 5))))

    assert (mapping.kind, mapping.uids, mapping.for_trees) == ("all", ((0, 0, 10), (10, 10, 5)), None)
    assert mapping.for_user(3, 3)["optional"]


def test_a_user_with_sub_ids():
    """Its own id is root, the others follow, line after line."""
    mapping = Mapping.of(caller(sub_uids=((100000, 10), (300000, 5))))

    assert (mapping.kind, mapping.uids) == ("many", ((0, 1000, 1), (1, 100000, 10), (11, 300000, 5)))
    assert mapping.for_user(15, 0)["uids"] == [(0, 1000, 1), (1, 100000, 10), (11, 300000, 5)]
    with pytest.raises(HostUnable):
        mapping.for_user(16, 0)
    with pytest.raises(HostUnable):
        mapping.for_user(0, 70000)


@pytest.mark.parametrize("lacking", [{"mappers": ()}, {"sub_uids": ()}, {"sub_gids": ()}])
def test_a_user_with_one_id(lacking):
    """Without sub-ids, or without the programs that map them."""
    mapping = Mapping.of(caller(**lacking))

    assert (mapping.kind, mapping.uids) == ("one", ((0, 1000, 1),))
    assert mapping.for_user(65532, 65532)["single"]


def test_trees_differ_by_owners():
    """Other sub-ids, other trees; the same, the same."""
    texts = {
        Mapping.of(who).identity
        for who in (USER, caller(), caller(sub_uids=((5, 6),)), caller(uid=0), caller(mappers=()))
    }

    assert len(texts) == 4
