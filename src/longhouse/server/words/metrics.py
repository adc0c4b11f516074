"""What existing clients read of the house in numbers. Used by `aliases`."""

from longhouse.agents.api.overview import OverviewView, RuntimeNumbers
from longhouse.server.words.chat import ClientWords


class Metrics(ClientWords):
    """A tenant in numbers."""

    active_agents: int
    users: int
    runtime: RuntimeNumbers


def metrics(overview: OverviewView) -> Metrics:
    """The numbers as they ask for them: an agent that waits for a person is active, too."""
    return Metrics(
        active_agents=overview.agents.busy + overview.agents.waiting,
        users=overview.users,
        runtime=overview.runtime,
    )
