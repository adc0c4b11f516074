"""The agent library: one runtime, many durable agents. This is its public face.

    from longhouse.runtime import Runtime, SQLiteJournal, Post, tool

It knows no tenant, no user and no server. Some modules below it are public as well: the bodies of
events are `longhouse.protocol.events`, the words of a scripted model `models.scripted`; and whoever
writes a journal, a model, a sandbox or a bus finds the port's words in `journals.base`, `model`,
`sandbox.base` and `longhouse.kit.bus.base`. What is named in none of these places may change
without notice.
"""

from longhouse.kit.clock import Clock, ManualClock, SystemClock
from longhouse.protocol.events import (
    AgentState,
    At,
    Channel,
    Cron,
    Delta,
    DoneReason,
    Event,
    Every,
    EverySteps,
    Outcome,
    RoomMessage,
    Severity,
    Todo,
    TodoStatus,
    Usage,
)
from longhouse.runtime.agent import (
    Agent,
    AgentExists,
    AlreadyDecided,
    NoSuchApproval,
    NoSuchSchedule,
    Unanswered,
)
from longhouse.runtime.attachments import Attachment, AttachmentTooLarge, NotAttachable
from longhouse.runtime.hooks import Allow, Ask, Change, Deny, Hook, ModelUse, Supply, ToolUse
from longhouse.runtime.journals.base import Fenced, Journal, NoSuchPoint, UnknownAgent
from longhouse.runtime.journals.memory import MemoryJournal
from longhouse.runtime.journals.sqlite import SQLiteJournal
from longhouse.runtime.mcp.server import McpServer
from longhouse.runtime.mcp.toolbox import Listing
from longhouse.runtime.model import (
    FilesRefused,
    Model,
    ModelDenied,
    ModelError,
    ModelRefused,
    ModelRequest,
    ModelResponse,
    Models,
    ModelUnavailable,
)
from longhouse.runtime.models.environment import (
    Access,
    Choice,
    EnvironmentModels,
    ModelEnvironment,
)
from longhouse.runtime.models.fixed import FixedModels
from longhouse.runtime.models.scripted import ScriptedModel
from longhouse.runtime.moments import (
    Moment,
    NoSuchSnapshot,
    NotForkable,
    SnapshotExists,
    Status,
)
from longhouse.runtime.posts import (
    DEFAULT_TOOLS,
    Limits,
    Mode,
    Permissions,
    Post,
    Rule,
    Verdict,
)
from longhouse.runtime.rooms import NotARoom, Room, RoomStatus, UnknownRoom
from longhouse.runtime.runtime import Runtime, UnknownPost
from longhouse.runtime.sandbox.base import Sandbox, SandboxRefused
from longhouse.runtime.sandbox.egress import Egress, EgressLimits
from longhouse.runtime.schedules import Schedule
from longhouse.runtime.tools.base import Tool, ToolContext, ToolFailed, ToolResult, tool

__all__ = [
    "DEFAULT_TOOLS",
    "Access",
    "Agent",
    "AgentExists",
    "AgentState",
    "Allow",
    "AlreadyDecided",
    "Ask",
    "At",
    "Attachment",
    "AttachmentTooLarge",
    "Change",
    "Channel",
    "Choice",
    "Clock",
    "Cron",
    "Delta",
    "Deny",
    "DoneReason",
    "Egress",
    "EgressLimits",
    "EnvironmentModels",
    "Event",
    "Every",
    "EverySteps",
    "Fenced",
    "FilesRefused",
    "FixedModels",
    "Hook",
    "Journal",
    "Limits",
    "Listing",
    "ManualClock",
    "McpServer",
    "MemoryJournal",
    "Mode",
    "Model",
    "ModelDenied",
    "ModelEnvironment",
    "ModelError",
    "ModelRefused",
    "ModelRequest",
    "ModelResponse",
    "ModelUnavailable",
    "ModelUse",
    "Models",
    "Moment",
    "NoSuchApproval",
    "NoSuchPoint",
    "NoSuchSchedule",
    "NoSuchSnapshot",
    "NotARoom",
    "NotAttachable",
    "NotForkable",
    "Outcome",
    "Permissions",
    "Post",
    "Room",
    "RoomMessage",
    "RoomStatus",
    "Rule",
    "Runtime",
    "SQLiteJournal",
    "Sandbox",
    "SandboxRefused",
    "Schedule",
    "ScriptedModel",
    "Severity",
    "SnapshotExists",
    "Status",
    "Supply",
    "SystemClock",
    "Todo",
    "TodoStatus",
    "Tool",
    "ToolContext",
    "ToolFailed",
    "ToolResult",
    "ToolUse",
    "Unanswered",
    "UnknownAgent",
    "UnknownPost",
    "UnknownRoom",
    "Usage",
    "Verdict",
    "tool",
]
