"""Ids: length and uniqueness."""

from chat.store.ids import AT_ONCE, Ids


def test_ids_are_unique() -> None:
    some, others = Ids(), Ids()
    made = [some.new() for _ in range(3 * AT_ONCE)] + [others.new() for _ in range(AT_ONCE)]
    assert len(set(made)) == len(made)
    assert {len(each) for each in made} == {16}
    assert all(int(each, 16) >= 0 for each in made)
