"""What the room refuses: raised by its services, answered as problems by the server."""

from longhouse.kit.errors import Conflict, InvalidInput, Json, NotFound


class NoSuchPost(NotFound):
    """No post of this id in the caller's tenant."""

    code = "no-such-post"

    def __init__(self, post_id: str) -> None:
        super().__init__(f"There is no post {post_id[:80]!r}.")


class NoSuchAgent(NotFound):
    """No agent of this id in the caller's tenant."""

    code = "no-such-agent"

    def __init__(self, agent_id: str) -> None:
        super().__init__(f"There is no agent {agent_id[:80]!r}.")


class NoSuchSession(NotFound):
    """The agent has no session of this id."""

    code = "no-such-session"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"The agent has no session {session_id[:80]!r}.")


class NoSuchAttachment(NotFound):
    """Nothing with this digest is attached to an event of the session."""

    code = "no-such-attachment"

    def __init__(self, digest: str) -> None:
        super().__init__(f"Nothing with the digest {digest[:80]!r} is attached in this session.")


class SubAgentSession(Conflict):
    """The session is a sub-agent's: people talk to the session that it works for."""

    code = "sub-agent-session"

    def __init__(self, session_id: str, parent_id: str) -> None:
        super().__init__(
            f"The session {session_id!r} is a sub-agent's and takes orders from nobody else.",
            hint=f"Use the session that it works for: {parent_id}. Its approvals are there, too.",
            session_id=parent_id,
        )


class NameTaken(Conflict):
    """Another one of the tenant has this name."""

    code = "name-taken"

    def __init__(self, what: str, name: str) -> None:
        message = f"There is {what} with the name {name!r} already."
        errors: list[Json] = [{"field": "name", "message": message}]
        super().__init__(message, hint="Choose another name.", errors=errors)


class PostInUse(Conflict):
    """Agents follow the post."""

    code = "post-in-use"

    def __init__(self, count: int) -> None:
        super().__init__(
            f"{count} agents follow this post.", hint="Give them another post or delete them first."
        )


class NoChatPost(Conflict):
    """The tenant has no post for the agents that talk with users of clients."""

    code = "no-chat-post"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no post {name!r} for agents that talk with users.",
            hint="Make one, or name another with LONGHOUSE_CHAT_POST.",
        )


class ChangedMeanwhile(Conflict):
    """Somebody else changed the same thing at the same moment."""

    code = "changed-meanwhile"

    def __init__(self) -> None:
        super().__init__("Somebody else changed this just now.", hint="Look at it and try again.")


class AgentBusy(Conflict):
    """The agent is in the middle of a turn."""

    code = "agent-busy"

    def __init__(self) -> None:
        super().__init__("The agent is at work.", hint="Interrupt it first.")


def invalid(field: str, message: str, *, hint: str | None = None) -> InvalidInput:
    """A value that is wrong, told by its field."""
    return InvalidInput(message, hint=hint, errors=[{"field": field, "message": message}])
