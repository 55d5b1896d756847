"""The index of names."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.index import Index

NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.tuples(st.just("add"), NAMES, st.integers(1000, 1005))
    | st.tuples(st.just("remove"), NAMES, st.integers(1000, 1005))
    | st.tuples(st.just("add_all"), st.lists(NAMES, max_size=4), st.integers(1000, 1005)),
    max_size=20,
)


@given(STEPS)
def test_an_index_is_a_set_of_handles_a_name(steps: list[tuple[str, object, int]]) -> None:
    """Whatever comes and goes, one by one or in columns, each name has what was added and not removed."""
    index, plain = Index(), dict[str, set[int]]()
    for verb, given_names, handle in steps:
        names = given_names if isinstance(given_names, list) else [given_names]
        handles = [handle + n for n in range(len(names))]
        if verb == "add_all":
            index.add_all(names, handles)
        for name, each in zip(names, handles, strict=True):
            if verb == "add":
                index.add(name, each)
            if verb == "remove":
                index.remove(name, each)
                plain.get(name, set()).discard(each)
            else:
                plain.setdefault(name, set()).add(each)
    plain = {name: handles for name, handles in plain.items() if handles}
    assert set(index) == set(plain) and len(index) == len(plain)
    for name in "abc":
        assert sorted(index.get(name)) == sorted(plain.get(name, ()))
        assert (name in index) == (name in plain)


def test_a_name_with_nobody_under_it_is_not_kept() -> None:
    """Neither after one handle nor after many: names of users long gone cost nothing."""
    index = Index()
    for count in (1, 2, 9):
        index.add_all(["a"] * count, list(range(count)))
        for handle in range(count):
            assert len(index) == 1
            index.remove("a", handle)
        assert len(index) == 0 and list(index.get("a")) == []
