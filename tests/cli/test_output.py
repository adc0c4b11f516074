"""Words for people: errors on one line, numbers and times, and nothing that steers a terminal."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from rich.text import Text

from longhouse.cli import output
from longhouse.cli.errors import FieldProblem, Problem, ServerSaidNo, ServerUnreachable, one_line
from longhouse.cli.output import Column
from longhouse.kit.errors import InvalidInput, Misconfigured

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class TestErrors:
    def test_an_error_says_what_and_what_to_do_on_one_line(self) -> None:
        error = Misconfigured("The port\nis taken.", hint="Choose another.")

        assert one_line(error) == "The port is taken — Choose another."

    def test_a_problem_of_the_server_tells_fields_and_request(self) -> None:
        problem = Problem(
            detail="Not valid: name.",
            hint="Correct it",
            request_id="req_7",
            errors=(FieldProblem("name", "Too long."),),
        )

        line = one_line(ServerSaidNo(422, problem))

        assert line == "Not valid: name: Too long — Correct it (req_7)"

    def test_a_field_that_says_the_same_is_not_repeated(self) -> None:
        said = "The name is taken."
        problem = Problem(detail=said, errors=(FieldProblem("name", said),))

        assert one_line(ServerSaidNo(409, problem)) == said

    def test_fields_of_our_own_errors_are_told_as_well(self) -> None:
        error = InvalidInput(
            "The account is not valid.", errors=[{"field": "password", "message": "Too short."}]
        )

        assert one_line(error) == "The account is not valid: password: Too short."

    @pytest.mark.parametrize(
        ("status", "code"), [(401, 77), (403, 77), (404, 66), (409, 75), (422, 65), (500, 70)]
    )
    def test_the_exit_code_follows_the_status(self, status: int, code: int) -> None:
        assert ServerSaidNo(status, Problem()).exit_code == code

    def test_a_server_that_is_not_there_is_told_with_how_to_start_it(self) -> None:
        line = one_line(ServerUnreachable("http://127.0.0.1:1"))

        assert "http://127.0.0.1:1" in line
        assert "longhouse serve" in line


class TestClean:
    def test_a_terminal_cannot_be_steered(self) -> None:
        assert output.clean("a\x1b[2Jb\x07\x9bc") == "a␛[2Jb␇<U+009B>c"

    def test_text_that_reads_otherwise_than_it_is_shows_it(self) -> None:
        assert output.clean("if admin\u202e") == "if admin<U+202E>"

    def test_newlines_and_tabs_stay_and_line_ends_of_windows_become_newlines(self) -> None:
        assert output.clean("a\tb\r\nc\n") == "a\tb\nc\n"


class TestNumbers:
    @pytest.mark.parametrize(
        ("passed", "words"),
        [
            (timedelta(seconds=-5), "now"),
            (timedelta(seconds=59), "now"),
            (timedelta(minutes=5), "5 min"),
            (timedelta(hours=23), "23 h"),
            (timedelta(days=3), "3 d"),
            (timedelta(days=90), "2025-10-03"),
        ],
    )
    def test_times_are_told_in_their_largest_unit(self, passed: timedelta, words: str) -> None:
        assert output.ago(NOW - passed, now=NOW) == words

    @pytest.mark.parametrize(
        ("value", "words"),
        [(0.04, "0.0 s"), (9.94, "9.9 s"), (59, "59 s"), (65, "1 min 5 s"), (7800, "2 h 10 min")],
    )
    def test_durations(self, value: float, words: str) -> None:
        assert output.seconds(value) == words

    @pytest.mark.parametrize(
        ("value", "words"), [(0, "0"), (999, "999"), (12_345, "12.3k"), (4_500_000, "4.5M")]
    )
    def test_counts(self, value: int, words: str) -> None:
        assert output.count(value) == words


@pytest.mark.parametrize(
    ("wanted", "room", "widths"),
    [
        ([5, 30, 4], 80, [5, 30, 4]),
        ([5, 30, 4], 29, [5, 20, 4]),
        ([20, 30, 4], 30, [13, 13, 4]),
        ([3, 30, 40], 20, [3, 6, 40]),
    ],
)
def test_the_widest_column_that_may_shrink_gives_way(
    wanted: list[int], room: int, widths: list[int]
) -> None:
    assert output.fitted(wanted, [True, True, False], room) == widths


def test_a_text_beside_its_label_goes_on_below_itself() -> None:
    console = Console(file=io.StringIO(), width=20, force_terminal=True, color_system=None)

    with console.capture() as captured:
        output.put_hanging(console, Text("name  "), Text("several words here\nand more"))

    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert lines == ["name  several words", "      here", "      and more"]


@pytest.mark.parametrize(
    ("value", "words"), [(100, "100"), (2_000_000.0, "2,000,000"), (0.5, "0.5")]
)
def test_numbers(value: float, words: str) -> None:
    assert output.number(value) == words


def test_a_list_for_a_program_is_one_line_with_tabs_for_each_row(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.put_table((Column("Name"), Column("Tokens", right=True)), [("a\tb\nc", "7")])

    assert capsys.readouterr().out == "name\ttokens\na b c\t7\n"
