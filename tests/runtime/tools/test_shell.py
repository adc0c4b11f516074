"""Running commands."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.patience import LONGER, until
from tests.runtime.tools.conftest import TOOLS, Hand

from longhouse.runtime.sandbox.base import Sandbox, SandboxRefused
from longhouse.runtime.sandbox.fitted import Fitted
from longhouse.runtime.sandbox.off import Unprotected
from longhouse.runtime.tools.base import InvalidArguments, ToolFailed
from longhouse.runtime.tools.shells import MOST_RUNNING, Ring


@pytest.fixture(params=[pytest.param("bubblewrap", marks=pytest.mark.sandbox), "off"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param == "off":
        return Unprotected()
    found: Sandbox = request.getfixturevalue("protection")
    return found


@pytest.fixture
async def hand(sandbox: Sandbox, workspace: Path) -> AsyncIterator[Hand]:
    made = Hand(workspace=workspace, sandbox=sandbox)
    yield made
    await made.shells.end_all("the test is over")


async def test_output_and_exit_code_are_the_result(hand: Hand) -> None:
    assert await hand.use("bash_run", command="echo out; echo err >&2") == "out\nerr\n[exit code 0]"


async def test_a_failing_command_is_a_result_like_any_other(hand: Hand) -> None:
    assert await hand.use("bash_run", command="exit 3") == "[exit code 3]"


async def test_output_without_a_newline_is_kept_apart(hand: Hand) -> None:
    assert await hand.use("bash_run", command="printf x") == "x\n[exit code 0]"


async def test_bash_words_work(hand: Hand) -> None:
    command = "set -o pipefail; for n in {1..3}; do echo $n; done | tail -1"

    assert (await hand.use("bash_run", command=command)).startswith("3\n")


async def test_it_runs_where_it_is_told(hand: Hand, workspace: Path) -> None:
    (workspace / "below").mkdir()

    assert (await hand.use("bash_run", command="pwd", cwd="below")).startswith(
        f"{workspace}/below\n"
    )


@pytest.mark.parametrize("cwd", ["..", "/etc", "gone", "file"])
async def test_it_runs_in_a_directory_of_the_workspace_only(
    hand: Hand, workspace: Path, cwd: str
) -> None:
    (workspace / "file").touch()

    with pytest.raises(ToolFailed):
        await hand.use("bash_run", command="pwd", cwd=cwd)


async def test_endless_output_is_cut_and_says_how_to_see_the_rest(hand: Hand) -> None:
    shown = await hand.use("bash_run", command="seq 1 300000")

    assert len(shown) < (1 << 20) + 1000
    assert shown.startswith("1\n2\n")
    assert "bytes cut" in shown
    assert "299999\n300000\n[" in shown
    assert "fs_read" in shown.splitlines()[-2]
    assert shown.endswith("[exit code 0]")


async def test_a_time_out_is_a_failure_that_keeps_the_output(hand: Hand) -> None:
    for seconds in LONGER:
        with pytest.raises(ToolFailed, match=rf"\[stopped after {seconds:g} s") as stopped:
            await hand.use("bash_run", command="echo begun; sleep 600", timeout=seconds)
        if str(stopped.value).startswith("begun\n"):
            return
    raise AssertionError("the output was lost")


async def test_a_time_out_has_a_bound(hand: Hand) -> None:
    with pytest.raises(InvalidArguments, match="3600"):
        await hand.use("bash_run", command="true", timeout=6000)
    with pytest.raises(ToolFailed, match="600 s at most"):
        await hand.use("bash_run", command="true", timeout=601)

    # No other time-out comes in between and loses the output.
    assert TOOLS["bash_run"].timeout is None


async def test_an_interrupt_ends_the_command(hand: Hand, workspace: Path) -> None:
    task = asyncio.ensure_future(hand.use("bash_run", command="echo > begun; sleep 600"))
    await until((workspace / "begun").exists)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_without_a_boundary_nothing_runs(workspace: Path) -> None:
    with pytest.raises(SandboxRefused, match="none here"):
        await Hand(workspace=workspace).use("bash_run", command="true")


async def test_what_a_command_changed_has_to_be_read_again(hand: Hand) -> None:
    await hand.use("fs_write", path="a.txt", content="one\n")
    await hand.use("bash_run", command="echo two > a.txt")

    with pytest.raises(ToolFailed, match="changed since"):
        await hand.use("fs_edit", path="a.txt", old="one", new="three")


class TestBackground:
    async def test_it_goes_on_and_its_output_is_read_piece_by_piece(
        self, hand: Hand, workspace: Path
    ) -> None:
        script = "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two; exit 3"

        said = await hand.use("bash_run", command=script, background=True)
        first = await hand.use("bash_logs", shell="call", wait=60)
        (workspace / "go").touch()
        second = await hand.use("bash_logs", shell="call", since=4, wait=60)
        # The output may come an instant before the end.
        last = await hand.use("bash_logs", shell="call", since=8, wait=60)

        assert "shell call." in said
        assert first == "one\n[running, 0 s; bytes 0-4 of 4; go on with since=4]"
        assert second.startswith("two\n")
        assert last == "[exit code 3, 0 s; bytes 8-8 of 8]"

    async def test_killing_it_ends_all_that_it_started(self, hand: Hand, workspace: Path) -> None:
        beat = "while :; do date +%N > beat; sleep 0.01; done"
        await hand.use("bash_run", command=f"({beat}) & {beat}", background=True)
        await until((workspace / "beat").exists)

        assert await hand.use("bash_kill", shell="call") == "Shell call: ended by bash_kill."

        (workspace / "beat").unlink()
        await asyncio.sleep(0.05)
        assert not (workspace / "beat").exists()
        assert "[ended by bash_kill, " in await hand.use("bash_logs", shell="call")

    async def test_it_runs_in_the_sandbox_that_its_call_got(self, hand: Hand) -> None:
        hand.sandbox = Fitted(sandbox=hand.sandbox, env={"RIVER": "Wurm"})
        await hand.use("bash_run", command="echo $RIVER; sleep 600", background=True)

        assert (await hand.use("bash_logs", shell="call", wait=60)).startswith("Wurm\n")

    async def test_it_ends_when_its_time_is_over(self, hand: Hand) -> None:
        await hand.use("bash_run", command="sleep 600", background=True, timeout=0.2)

        logs = await hand.use("bash_logs", shell="call", wait=60)

        assert logs.startswith("[stopped, its time was over, ")

    async def test_another_agents_shell_is_unknown(self, hand: Hand, workspace: Path) -> None:
        other = Hand(workspace=workspace, sandbox=hand.sandbox)
        await hand.use("bash_run", command="echo secret; sleep 600", background=True)

        with pytest.raises(ToolFailed, match="There is no shell 'call'"):
            await other.use("bash_logs", shell="call")
        with pytest.raises(ToolFailed, match="There is no shell 'call'"):
            await other.use("bash_kill", shell="call")

        assert "[running" in await hand.use("bash_logs", shell="call")

    async def test_a_shell_of_an_earlier_process_is_told_to_be_gone(self, hand: Hand) -> None:
        hand.background.add("call")

        with pytest.raises(ToolFailed, match="Shell call is gone"):
            await hand.use("bash_logs", shell="call")

    async def test_their_number_is_limited(self, hand: Hand) -> None:
        for number in range(MOST_RUNNING):
            hand.call_id = f"call-{number}"
            await hand.use("bash_run", command="sleep 600", background=True)
        hand.call_id = "one too many"

        with pytest.raises(ToolFailed, match=r"call-0, call-1.*bash_kill"):
            await hand.use("bash_run", command="sleep 600", background=True)
        await hand.use("bash_kill", shell="call-3")
        await hand.use("bash_run", command="sleep 600", background=True)

    async def test_what_is_no_longer_kept_is_counted(self, hand: Hand) -> None:
        await hand.use("bash_run", command="seq 1 200000", background=True)
        logs, told = "", 0
        while "exit code" not in logs:
            logs = await hand.use("bash_logs", shell="call", since=told, wait=60)
            told = int(re.findall(r"of (\d+)", logs)[-1])
        logs = await hand.use("bash_logs", shell="call")

        assert logs.startswith("[1,157,823 bytes before this are no longer kept]\n")
        assert "of 1288895; go on with since=" in logs

    async def test_an_offset_that_is_not_there_yet_is_refused(self, hand: Hand) -> None:
        await hand.use("bash_run", command="sleep 600", background=True)

        with pytest.raises(ToolFailed, match="printed 0 bytes so far"):
            await hand.use("bash_logs", shell="call", since=100)

    async def test_a_character_is_not_cut_in_two(self, hand: Hand, workspace: Path) -> None:
        script = r"printf '\303'; while [ ! -e go ]; do sleep 0.01; done; printf '\274'"
        await hand.use("bash_run", command=script, background=True)

        first = await hand.use("bash_logs", shell="call", wait=60)
        (workspace / "go").touch()
        await hand.use("bash_logs", shell="call", since=1, wait=60)
        second = await hand.use("bash_logs", shell="call", since=0)

        assert first == "[running, 0 s; bytes 0-0 of 1; go on with since=0]"
        assert second.startswith("ü\n")


class TestRing:
    def test_the_last_bytes_are_kept_by_their_offsets(self) -> None:
        ring = Ring(10)
        for number in range(100):
            ring.feed(b"%02d" % number)
        ring.seal()

        assert ring.total == 200
        assert ring.read(0, 100) == (190, b"9596979899")
        assert ring.read(194, 3) == (194, b"979")
        assert ring.read(200, 3) == (200, b"")

    def test_a_piece_larger_than_the_ring_is_cut(self) -> None:
        ring = Ring(4)
        ring.feed(b"0123456789")

        assert ring.read(0, 100) == (6, b"6789")
