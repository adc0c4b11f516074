"""The settings of a Longhouse process: one frozen object, read once from the environment.

`load_settings` is called by the command line when a program starts; everything else is handed the
object or a value of it. Every field has a description: `describe_settings` gives them to the
documentation's test and to `longhouse doctor`. Settings of a tenant or a post live in the database
and not here.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from longhouse.kit.errors import Misconfigured
from longhouse.kit.keys import SHORTEST_KEY

PREFIX = "LONGHOUSE_"
"""What the environment variable of a setting begins with."""

BUS_SCHEMES = ("nats", "tls", "postgresql", "postgres")
MIB = 1024 * 1024


class SandboxMode(StrEnum):
    """Which boundary stands around an agent's tools."""

    AUTO = "auto"  # the strongest that works on this machine; refuse to start without one
    BUBBLEWRAP = "bubblewrap"  # this one or refuse
    LANDLOCK = "landlock"  # likewise; weaker, and without network
    OFF = "off"  # none: an operator has turned protection off by name


class Duty(StrEnum):
    """What a server process does; one without a duty of its own does everything."""

    API = "api"  # answers requests
    WORKER = "worker"  # executes runs


def default_data_dir() -> Path:
    """Where a user's data belongs by the XDG base directory specification."""
    base = os.environ.get("XDG_DATA_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "share"
    return root / "longhouse"


def _also(name: str, *others: str) -> AliasChoices:
    """The setting's own variable first, then names people have set for other programs."""
    return AliasChoices(f"{PREFIX}{name.upper()}", *others)


class Settings(BaseSettings):
    """Everything one process is told from outside. Frozen: a change needs a restart."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # `LONGHOUSE_X=` in a service file means: not set
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # an input may be a key
        populate_by_name=True,
    )

    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Directory of the database, workspaces and generated secrets.",
    )
    database_url: str = Field(
        default_factory=lambda data: f"sqlite:///{data['data_dir']}/longhouse.db",
        description="Database: sqlite:///<file> or postgresql://user:password@host/database.",
    )
    bus_url: str | None = Field(
        None,
        description="What rings between server processes: memory, nats://user:password@host:4222 "
        "(several with commas) or postgresql://…; without it memory with SQLite, and PostgreSQL's "
        "own NOTIFY with PostgreSQL.",
    )
    only: Duty | None = Field(
        None,
        description="The one thing this process does: api (answers requests) or worker (executes "
        "runs); without it both.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 is every network.")
    port: int = Field(8420, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    public_url: str | None = Field(
        None, description="Address people reach the server at, when a proxy stands before it."
    )
    max_body_bytes: int = Field(
        10 * MIB, ge=1024, description="Largest request body accepted, in bytes."
    )
    max_attachment_bytes: int = Field(
        5 * MIB,
        ge=1024,
        description="Largest picture or PDF that goes with a message, in bytes.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least serious log entry that is written."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="Log for people (console) or for programs (json, one per line)."
    )
    metrics_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="Token that /metrics asks for, as `Authorization: Bearer …`; without it "
        "/metrics answers this machine only.",
    )
    otlp_endpoint: str | None = Field(
        None,
        validation_alias=_also("otlp_endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        description="OpenTelemetry collector that gets spans by OTLP over HTTP, e.g. "
        "http://localhost:4318.",
    )
    sentry_dsn: SecretStr | None = Field(
        None,
        validation_alias=_also("sentry_dsn", "SENTRY_DSN"),
        description="Sentry project that gets reports of errors.",
    )
    access_token_seconds: int = Field(
        900, ge=30, description="Life of an access token, in seconds."
    )
    refresh_token_days: int = Field(
        30, ge=1, description="Days after which a person who was away has to sign in again."
    )
    jwt_secret: SecretStr | None = Field(
        None,
        validation_alias=_also("jwt_secret", "JWT_SECRET"),
        min_length=SHORTEST_KEY,
        description="Secret that signs access tokens, the same on every replica; without it one "
        "is generated in the data directory on first start.",
    )
    jwt_secret_other: SecretStr | None = Field(
        None,
        validation_alias=_also("jwt_secret_other", "JWT_SECRET_OTHER"),
        min_length=SHORTEST_KEY,
        description="Another secret whose access tokens are accepted: the next or the last one "
        "while the secret is changed.",
    )
    config_encryption_key: SecretStr | None = Field(
        None,
        validation_alias=_also("config_encryption_key", "CONFIG_ENCRYPTION_KEY"),
        min_length=SHORTEST_KEY,
        description="Key that encrypts stored secrets, the same on every replica; without it one "
        "is generated in the data directory on first start.",
    )
    config_encryption_key_other: SecretStr | None = Field(
        None,
        validation_alias=_also("config_encryption_key_other", "CONFIG_ENCRYPTION_KEY_OTHER"),
        min_length=SHORTEST_KEY,
        description="Another key that decrypts stored secrets and encrypts none: the next or the "
        "last one while the key is changed.",
    )
    self_registration: bool = Field(
        False, description="Whether people may make an account by themselves."
    )
    tenant_grace_days: int = Field(
        30, ge=0, description="Days for which a deleted tenant can be restored; then it is gone."
    )
    sandbox: SandboxMode = Field(
        SandboxMode.AUTO,
        description="Boundary around an agent's tools: auto (the strongest that works here, or "
        "refuse), bubblewrap or landlock (that or refuse), off (no protection).",
    )
    egress_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Private networks, comma separated, that the hosts of posts may lie in, e.g. "
        "10.1.0.0/16; without it commands reach public addresses only.",
    )
    mcp_servers: Path | None = Field(
        None, description="JSON file of the MCP servers whose tools posts may name."
    )
    chat_post: str = Field(
        "Engineer",
        description="Name of the post, in each tenant, whose agents talk with the users of "
        "`/api/chat`.",
    )
    worker_slots: int = Field(4, ge=1, le=1024, description="Turns this process runs at once.")
    pool_size: int = Field(
        200,
        ge=1,
        description="Agents that this process keeps live at once, not fewer than it runs turns; "
        "the longest unused give way.",
    )
    pool_idle_seconds: float = Field(
        1800,
        ge=1,
        description="Seconds without use after which a live agent is put away; it comes back by "
        "itself.",
    )
    lease_seconds: float = Field(
        60, ge=1, description="Seconds after which a worker that went silent loses its run."
    )
    run_retention_days: int = Field(
        30, ge=1, description="Days for which the queue remembers runs that have ended."
    )
    sse_heartbeat_seconds: float = Field(
        15, gt=0, description="Seconds of silence after which an event stream says it is alive."
    )
    sse_buffer: int = Field(
        256, ge=1, description="Live messages kept for one slow reader before the oldest go."
    )
    model: str = Field(
        "auto",
        validation_alias=_also("model", "API_LLM_PROVIDER_MODEL"),
        description="Model of agents whose post names none, as <provider>:<model>, e.g. "
        "openai:gpt-5.2 or anthropic:claude-opus-4-5; demo is the scripted one; auto takes a "
        "provider that has a key, else demo.",
    )
    openai_api_key: SecretStr | None = Field(
        None,
        validation_alias=_also("openai_api_key", "API_OPEN_AI_API_KEY", "OPENAI_API_KEY"),
        description="Key of OpenAI or of an endpoint that speaks its protocol.",
    )
    openai_base_url: str | None = Field(
        None,
        validation_alias=_also("openai_base_url", "API_OPENAI_FORCE_BASE_URL", "OPENAI_BASE_URL"),
        description="Base URL of an OpenAI-compatible endpoint, e.g. http://localhost:11434/v1.",
    )
    anthropic_api_key: SecretStr | None = Field(
        None,
        validation_alias=_also("anthropic_api_key", "API_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"),
        description="Key of Anthropic.",
    )
    anthropic_base_url: str | None = Field(
        None,
        validation_alias=_also("anthropic_base_url", "ANTHROPIC_BASE_URL"),
        description="Base URL of an endpoint that speaks Anthropic's protocol.",
    )
    repository_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        default_factory=lambda: (Path.home(),),
        description="Directories, comma separated, from which local repositories may be used; "
        "without it the home directory of the user the server runs as.",
    )

    skills: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="Directories, comma separated, with skills for all agents: folders with a "
        "SKILL.md.",
    )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("repository_roots", "skills", "egress_networks", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("egress_networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("repository_roots", "skills")
    @classmethod
    def _resolved(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        for root in value:
            if not root.expanduser().is_absolute():
                raise ValueError(f"{root} is not an absolute path")
        return tuple(root.expanduser().resolve() for root in value)

    @field_validator("log_level", "log_format", "only", "sandbox", mode="before")
    @classmethod
    def _lower_case(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("public_url", "otlp_endpoint", "openai_base_url", "anthropic_base_url")
    @classmethod
    def _web_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if not value.startswith(("http://", "https://")):
            raise ValueError("it has to begin with http:// or https://")
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value.startswith(("sqlite:///", "postgresql://", "postgres://")):
            return value
        raise ValueError(
            "it has to be sqlite:///<file> or postgresql://user:password@host/database"
        )

    @field_validator("bus_url")
    @classmethod
    def _known_bus(cls, value: str | None) -> str | None:
        if value is None or value == "memory":
            return value
        for address in value.split(","):
            parts = urlsplit(address.strip())
            # Asking for the port refuses one that is no number.
            if parts.scheme not in BUS_SCHEMES or (parts.port or parts.hostname) is None:
                raise ValueError("it has to be memory, nats://host:4222 or postgresql://…")
        return value


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as documentation shows it."""

    name: str  # the field of `Settings`
    env: tuple[str, ...]  # variables it is read from, the first that is set wins
    default: str  # as one would write it into the environment; empty when there is none
    description: str


def load_settings() -> Settings:
    """Read the environment once.

    Raises `Misconfigured` that names every wrong variable, what is wrong and what it is for.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise _explain(error) from None


def describe_settings() -> tuple[SettingRow, ...]:
    """Every setting with its variables, default and description, in the order of the class."""
    return tuple(
        SettingRow(
            name=name,
            env=_variables(name, field),
            default=_default(name, field),
            description=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    )


def unknown_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that look like settings and are none: most likely misspelt."""
    known = {name for row in describe_settings() for name in row.env}
    return tuple(
        sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    )


def _variables(name: str, field: FieldInfo) -> tuple[str, ...]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (f"{PREFIX}{name.upper()}",)


def _default(name: str, field: FieldInfo) -> str:
    # These depend on the machine; documentation says them in words that hold on each.
    in_words = {
        "data_dir": "~/.local/share/longhouse",
        "database_url": "sqlite:///<data_dir>/longhouse.db",
        "repository_roots": "~",
    }
    if name in in_words:
        return in_words[name]
    return "" if field.default in (None, ()) else str(field.default)


def _explain(error: ValidationError) -> Misconfigured:
    problems = [
        problem
        for problem in error.errors(include_url=False, include_input=False)
        # A default made from another setting fails along with it; one complaint is enough.
        if problem["type"] != "default_factory_not_called"
    ]
    rows = {variable: row for row in describe_settings() for variable in (*row.env, row.name)}
    said = [_say(problem, rows) for problem in problems]
    first = rows.get(str(problems[0]["loc"][0])) if problems[0]["loc"] else None
    purpose = f" {first.env[0]} is: {first.description}" if first else ""
    return Misconfigured(
        " ".join(said),
        hint=f"Correct it in the environment or unset it to get the default.{purpose}",
        settings=[str(problem["loc"][0]) for problem in problems if problem["loc"]],
    )


def _say(problem: ErrorDetails, rows: Mapping[str, SettingRow]) -> str:
    location = str(problem["loc"][0]) if problem["loc"] else "settings"
    row = rows.get(location)
    name = next((v for v in row.env if v in os.environ), row.env[0]) if row else location
    said = problem["msg"].removeprefix("Value error, ")
    return f"The setting {name} is not valid: {said[:1].lower()}{said[1:].rstrip('.')}."
