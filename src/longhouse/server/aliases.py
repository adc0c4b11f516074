"""The addresses of existing clients: one table.

Each row says which canonical operation it is, and in which words; `alias` makes the routes. What
the words mean is in `words`, a module for each kind of client.
"""

from longhouse.agents.api import overview, sessions
from longhouse.server.alias import Alias
from longhouse.server.words import chat, metrics

OF_AGENT = {"agent_id": chat.agent, "session_id": chat.session_of_agent}

ALIASES = (
    # --- an agent, by its id ----------------------------------------------------------------------
    Alias(
        method="POST",
        path="/api/agents/{agent_id}/messages",
        operation=sessions.send_message,
        name="send_text",
        given=OF_AGENT | {"body": chat.text_message},
        answer=chat.queued,
    ),
    Alias(
        method="GET",
        path="/api/agents/{agent_id}/stream",
        operation=sessions.stream_events,
        name="stream_agent",
        given=OF_AGENT | {"channels": chat.channels},
    ),
    Alias(
        method="GET",
        path="/api/agents/{agent_id}/status",
        operation=sessions.get_session,
        name="get_agent_status",
        given=OF_AGENT,
        answer=chat.standing,
    ),
    Alias(
        method="POST",
        path="/api/agents/{agent_id}/approve",
        operation=sessions.decide_approval,
        name="approve",
        given=OF_AGENT | {"call_id": chat.call, "body": chat.decision},
    ),
    # --- the agent that talks with a client's user ------------------------------------------------
    Alias(
        method="POST",
        path="/api/chat/{user_id}",
        operation=sessions.send_message,
        name="send_chat",
        given={
            "agent_id": chat.agent_of_message,
            "session_id": chat.session_of_message,
            "body": chat.chat_message,
        },
        answer=chat.queued,
    ),
    Alias(
        method="GET",
        path="/api/chat/{user_id}/stream",
        operation=sessions.stream_events,
        name="stream_chat",
        given={
            "agent_id": chat.agent_of_user,
            "session_id": chat.session_to_follow,
            "channels": chat.channels,
        },
    ),
    Alias(
        method="GET",
        path="/api/chat/{user_id}/status",
        operation=sessions.get_session,
        name="get_chat_status",
        given={"agent_id": chat.known_agent_of_user, "session_id": chat.session_to_look_at},
        answer=chat.standing,
    ),
    Alias(
        method="POST",
        path="/api/chat/{user_id}/approve",
        operation=sessions.decide_approval,
        name="approve_chat",
        given={
            "agent_id": chat.known_agent_of_user,
            "session_id": chat.session_of_decision,
            "call_id": chat.chat_call,
            "body": chat.chat_decision,
        },
    ),
    # --- the house --------------------------------------------------------------------------------
    Alias(
        method="GET",
        path="/api/metrics",
        operation=overview.get_overview,
        name="get_numbers",
        answer=metrics.metrics,
    ),
)
