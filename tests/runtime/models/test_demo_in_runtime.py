"""The demo model as a newcomer meets it: in the runtime, behind the sandbox, with approvals."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, TypeAlias

import pytest

from longhouse.agents.samples import make_sample_repository
from longhouse.protocol.events import AgentState, DoneReason, JsonObject
from longhouse.runtime.agent import Agent
from longhouse.runtime.models.environment import EnvironmentModels, ModelEnvironment
from longhouse.runtime.posts import Mode, Permissions, Post
from longhouse.runtime.runtime import Runtime

pytestmark = pytest.mark.sandbox


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return make_sample_repository(tmp_path / "sample")


@pytest.fixture
async def agent(sample: Path) -> AsyncIterator[Agent]:
    async def workspace(agent_id: str, metadata: JsonObject) -> Path:
        return sample

    post = Post(name="helper", permissions=Permissions(mode=Mode.ASK))
    models = EnvironmentModels(ModelEnvironment(), demo_pace=0)
    async with Runtime(models=models, posts=[post], workspaces=workspace) as runtime:
        yield await runtime.agent("user:1", post="helper")


Decision: TypeAlias = Literal["allow", "deny"]


async def decide_all(agent: Agent, decision: Decision, *, note: str = "") -> list[str]:
    """Decide whatever comes until the turn is over; the tools that asked."""
    asked = []
    while await agent.rest() is AgentState.WAITING:
        for approval in (await agent.status()).approvals:
            asked.append(approval.name)
            await agent.decide(approval.call_id, decision, note=note)
    return asked


async def test_the_failing_test_passes_after_the_approvals(agent: Agent, sample: Path) -> None:
    await agent.send("make the failing test pass")

    asked = await decide_all(agent, "allow")

    assert asked == ["bash_run", "fs_edit", "bash_run"]
    assert "1 - percent / 100" in (sample / "calculator.py").read_text()
    assert "All tests pass now" in agent.last_words()
    done = (await agent.status()).done
    assert done is not None
    assert done.reason is DoneReason.COMPLETED


async def test_a_denial_ends_the_turn_with_nothing_changed(agent: Agent, sample: Path) -> None:
    before = (sample / "calculator.py").read_text()
    await agent.send("make the failing test pass")

    asked = await decide_all(agent, "deny", note="not in this house")

    assert asked == ["bash_run"]
    assert (sample / "calculator.py").read_text() == before
    assert "not in this house" in agent.last_words()
