"""Identifiers."""

import string

import pytest

from longhouse.kit.ids import is_id, new_id


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = [new_id("run") for _ in range(1000)]

    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_an_id_needs_no_escaping_in_a_url() -> None:
    assert set(new_id("ses")) <= set(string.ascii_lowercase + string.digits + "_")


def test_an_id_is_recognised_by_its_prefix() -> None:
    made = new_id("agt")

    assert is_id(made, "agt")
    assert not is_id(made, "ses")


@pytest.mark.parametrize(
    "text",
    ["", "agt", "agt_", "../../x", "agt_../x", "agt_" + "g" * 32, "agt_" + "0" * 33, "agt_0\n"],
)
def test_other_text_is_no_id(text: str) -> None:
    assert not is_id(text, "agt")
