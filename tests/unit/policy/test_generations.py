"""The bounded memory in two generations."""

from authz_server.policy.generations import Generations


def test_what_is_put_is_found():
    """By key; what was never put is None."""
    memory = Generations(8)
    memory.put("a", 1)
    assert (memory.get("a"), memory.get("b")) == (1, None)


def test_it_never_holds_more_than_was_allowed():
    """However many keys are put."""
    memory = Generations(8)
    for number in range(100):
        memory.put(number, number)
        assert len(memory.keys()) <= 8


def test_what_is_in_use_survives_a_flood_of_other_keys():
    """Asked for once in each generation, which is half of what there is room for."""
    memory = Generations(8)
    memory.put("hot", 1)
    for number in range(100):
        if number % 4 == 0:
            assert memory.get("hot") == 1
        memory.put(number, number)
    assert memory.get("hot") == 1


def test_what_is_not_asked_for_is_forgotten():
    """Two generations later."""
    memory = Generations(8)
    memory.put("cold", 1)
    for number in range(8):
        memory.put(number, number)
    assert memory.get("cold") is None


def test_keys_are_listed_once_those_asked_for_lately_first():
    """For whoever can take only some of them over."""
    memory = Generations(4)
    for name in ("a", "b", "c"):
        memory.put(name, name)
    memory.get("b")
    assert memory.keys() == ("c", "b", "a")


def test_it_is_never_too_small_to_hold_anything():
    """Room for one is room for one."""
    memory = Generations(1)
    memory.put("a", 1)
    assert memory.get("a") == 1
