"""Tables of transitions."""

from enum import StrEnum

import pytest

from longhouse.kit.errors import Conflict
from longhouse.kit.states import IllegalTransition, Transitions


class Light(StrEnum):
    RED = "red"
    GREEN = "green"
    AMBER = "amber"
    BROKEN = "broken"


LIGHTS = Transitions(
    {
        Light.RED: {Light.GREEN, Light.BROKEN},
        Light.GREEN: {Light.AMBER, Light.BROKEN},
        Light.AMBER: {Light.RED, Light.BROKEN},
        Light.BROKEN: set(),
    }
)


def test_the_sources_of_a_state_are_those_with_a_step_to_it() -> None:
    assert LIGHTS.sources(Light.GREEN) == (Light.RED,)
    assert LIGHTS.sources(Light.BROKEN) == (Light.RED, Light.GREEN, Light.AMBER)


def test_a_terminal_state_is_one_nothing_follows() -> None:
    assert LIGHTS.terminal == {Light.BROKEN}


def test_a_step_in_the_table_is_allowed() -> None:
    LIGHTS.check(Light.RED, Light.GREEN)

    assert LIGHTS.allows(Light.RED, Light.GREEN)
    assert not LIGHTS.allows(Light.RED, Light.AMBER)


def test_a_step_outside_the_table_is_a_conflict_that_names_the_possible_ones() -> None:
    with pytest.raises(IllegalTransition, match="red cannot become amber") as caught:
        LIGHTS.check(Light.RED, Light.AMBER)

    assert isinstance(caught.value, Conflict)
    assert caught.value.problem()["possible"] == ["green", "broken"]


def test_leaving_a_final_state_is_refused_as_such() -> None:
    with pytest.raises(IllegalTransition, match="final"):
        LIGHTS.check(Light.BROKEN, Light.RED)


def test_a_table_with_a_target_that_has_no_line_is_refused() -> None:
    with pytest.raises(ValueError, match="green"):
        Transitions({Light.RED: {Light.GREEN}})
