"""The slips the demo model knows, and the edits it makes of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longhouse.runtime.models.demo_repair import MAX_TRIES, edit, proposals


def first(source: str, failure: str, *, path: str = "m.py") -> str:
    return proposals({path: source}, failure)[0].after


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("return a - b", "return a + b"),
        ("return a + b", "return a - b"),
        ("return price * (1 + percent / 100)", "return price * (1 - percent / 100)"),
        ("return sum(values) / (len(values) - 1)", "return sum(values) / len(values)"),
        ("return a > b", "return a >= b"),
        ("return a and b", "return a or b"),
        ("return min(a, b)", "return max(a, b)"),
        ("total -= value", "total += value"),
        ("return a * b", "return a / b"),
    ],
)
def test_the_likeliest_slip_comes_first(wrong: str, right: str) -> None:
    assert first(f"def f(a, b):\n    {wrong}\n", "assertEqual(f(1, 2), 3)") == right


def test_swapped_operands_are_among_the_proposals() -> None:
    found = proposals({"m.py": "def f(a, b):\n    return b - a\n"}, "f(1, 2)")

    assert "return a - b" in [proposal.after for proposal in found]


def test_what_the_failing_test_calls_is_suspected_first() -> None:
    source = "def one(a):\n    return a + 2\n\n\ndef two(a):\n    return a + 3\n"

    assert first(source, "self.assertEqual(two(1), 2)") == "return a - 3"
    assert first(source, "self.assertEqual(one(1), 2)") == "return a - 2"


def test_strings_comments_and_docstrings_are_left_alone() -> None:
    source = 'def f(a):\n    """a + b, 1 - 2"""\n    # a + b\n    return "x + y"  # c - d\n'

    assert proposals({"m.py": source}, "f(1)") == []


def test_a_string_beside_a_slip_is_written_back() -> None:
    assert first('def f(a):\n    return "a - b" + a - 1\n', "f(1)") == 'return "a - b" + a + 1'


def test_other_languages_have_their_own_comments() -> None:
    source = "function f(a, b) {\n  // a + b\n  return a - b\n}\n"

    assert first(source, "f(1, 2)", path="m.js") == "return a + b"


def test_proposals_are_different_and_few() -> None:
    lines = "".join(f"    x = a + {number}\n" for number in range(50))

    found = proposals({"m.py": f"def f(a):\n{lines}"}, "f(1)")

    assert len({proposal.text for proposal in found}) == len(found) == MAX_TRIES


LINES = st.lists(st.sampled_from(["a", "b", "  a", "ab", ""]), min_size=1, max_size=8)


@given(before=LINES, after=LINES)
def test_an_edit_is_there_once_and_gives_the_wanted_text(
    before: list[str], after: list[str]
) -> None:
    old = "".join(f"{line}\n" for line in before)
    new = "".join(f"{line}\n" for line in after)

    made = edit("m.py", old, new)

    if made.old:
        assert old.count(made.old) == 1
        assert old.replace(made.old, made.new) == new
