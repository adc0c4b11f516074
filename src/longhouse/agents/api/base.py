"""What the room's routes stand on: the process's services."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from longhouse.agents.service.agents import Agents
from longhouse.agents.service.forks import Forks
from longhouse.agents.service.overview import Overview
from longhouse.agents.service.posts import Posts
from longhouse.agents.service.sessions import Sessions
from longhouse.agents.streams import Streams
from longhouse.runtime.models.environment import EnvironmentModels
from longhouse.runtime.runtime import Runtime


def posts_of(connection: HTTPConnection) -> Posts:
    """The `Posts` of the process that serves this connection."""
    posts = connection.app.state.posts
    assert isinstance(posts, Posts)
    return posts


def agents_of(connection: HTTPConnection) -> Agents:
    """The `Agents` of the process that serves this connection."""
    agents = connection.app.state.agents
    assert isinstance(agents, Agents)
    return agents


def sessions_of(connection: HTTPConnection) -> Sessions:
    """The `Sessions` of the process that serves this connection."""
    sessions = connection.app.state.sessions
    assert isinstance(sessions, Sessions)
    return sessions


def forks_of(connection: HTTPConnection) -> Forks:
    """The `Forks` of the process that serves this connection."""
    forks = connection.app.state.forks
    assert isinstance(forks, Forks)
    return forks


def overview_of(connection: HTTPConnection) -> Overview:
    """The `Overview` of the process that serves this connection."""
    overview = connection.app.state.overview
    assert isinstance(overview, Overview)
    return overview


def runtime_of(connection: HTTPConnection) -> Runtime:
    """The `Runtime` of the process that serves this connection."""
    runtime = connection.app.state.runtime
    assert isinstance(runtime, Runtime)
    return runtime


def streams_of(connection: HTTPConnection) -> Streams:
    """The `Streams` of the process that serves this connection."""
    streams = connection.app.state.streams
    assert isinstance(streams, Streams)
    return streams


def models_of(connection: HTTPConnection) -> EnvironmentModels:
    """The models of the process that serves this connection."""
    models = connection.app.state.models
    assert isinstance(models, EnvironmentModels)
    return models


CurrentPosts = Annotated[Posts, Depends(posts_of)]
CurrentAgents = Annotated[Agents, Depends(agents_of)]
CurrentOverview = Annotated[Overview, Depends(overview_of)]
CurrentRuntime = Annotated[Runtime, Depends(runtime_of)]
CurrentForks = Annotated[Forks, Depends(forks_of)]
CurrentSessions = Annotated[Sessions, Depends(sessions_of)]
CurrentStreams = Annotated[Streams, Depends(streams_of)]
CurrentModels = Annotated[EnvironmentModels, Depends(models_of)]
