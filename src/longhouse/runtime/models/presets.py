"""Providers and named models: tables only.

Read by `environment` and by whoever lists what can be chosen. A preset is a name that people may
set without knowing a vendor's spelling; any other model of a provider is `<provider>:<model>`.
Vertex has presets in the product's list but needs a cloud project instead of a key: not here.
"""

from __future__ import annotations

from dataclasses import dataclass

from longhouse.runtime.attachments import MEDIA_TYPES, PICTURES
from longhouse.runtime.models.endpoint import DEFAULT_BASE_URLS, WireProtocol


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A vendor whose protocol we speak, and the environment variables that belong to it."""

    id: str  # what stands before the colon
    aliases: tuple[str, ...] = ()
    protocol: WireProtocol
    base_url: str | None  # None: there is no usual one
    key_variables: tuple[str, ...]  # the first that is set wins
    base_url_variables: tuple[str, ...] = ()
    default_model: str | None = None  # when a key is set and nobody named a model
    media_types: frozenset[str] = PICTURES  # what its models can be shown; one that cannot, says so


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A model by a name of ours."""

    name: str
    provider: str
    model: str  # as the vendor names it
    max_output_tokens: int | None = None  # of one answer, where a vendor refuses to be asked more
    media_types: frozenset[str] | None = None  # None: what its provider's models can be shown


PROVIDERS: tuple[Provider, ...] = (
    Provider(
        id="anthropic",
        protocol=WireProtocol.ANTHROPIC,
        base_url=DEFAULT_BASE_URLS[WireProtocol.ANTHROPIC],
        key_variables=("LONGHOUSE_ANTHROPIC_API_KEY", "API_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"),
        base_url_variables=("LONGHOUSE_ANTHROPIC_BASE_URL", "ANTHROPIC_BASE_URL"),
        default_model="claude-sonnet-5-5",
        media_types=MEDIA_TYPES,
    ),
    Provider(
        id="openai",
        aliases=("openai_compatible",),
        protocol=WireProtocol.OPENAI,
        base_url=DEFAULT_BASE_URLS[WireProtocol.OPENAI],
        key_variables=("LONGHOUSE_OPENAI_API_KEY", "API_OPEN_AI_API_KEY", "OPENAI_API_KEY"),
        base_url_variables=(
            "LONGHOUSE_OPENAI_BASE_URL",
            "API_OPENAI_FORCE_BASE_URL",
            "OPENAI_BASE_URL",
        ),
        default_model="gpt-4.1",
        media_types=MEDIA_TYPES,
    ),
    Provider(
        id="google",
        aliases=("google_gemini",),
        protocol=WireProtocol.OPENAI,
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_variables=("API_GOOGLE_AI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
        default_model="gemini-2.5-pro",
    ),
    Provider(
        id="groq",
        protocol=WireProtocol.OPENAI,
        base_url="https://api.groq.com/openai/v1",
        key_variables=("API_GROQ_API_KEY", "GROQ_API_KEY"),
        base_url_variables=("API_GROQ_BASE_URL", "GROQ_BASE_URL"),
        default_model="openai/gpt-oss-120b",
    ),
    Provider(
        id="open_router",
        aliases=("openrouter",),
        protocol=WireProtocol.OPENAI,
        base_url="https://openrouter.ai/api/v1",
        key_variables=("API_OPENROUTER_KEY", "OPENROUTER_API_KEY"),
        default_model="openai/gpt-4.1",
        media_types=MEDIA_TYPES,
    ),
    Provider(
        id="novita",
        protocol=WireProtocol.OPENAI,
        base_url="https://api.novita.ai/openai/v1",
        key_variables=("API_NOVITA_AI_API_KEY", "NOVITA_API_KEY"),
        default_model="deepseek/deepseek-v3-0324",
    ),
)
"""In the order in which `auto` looks for a key."""


WORDS_ONLY: frozenset[str] = frozenset()


def _preset(
    name: str,
    model: str | None = None,
    *,
    output: int | None = None,
    media_types: frozenset[str] | None = None,
) -> Preset:
    """`model`: the vendor's name, where it is not what follows the colon."""
    provider, _, own = name.partition(":")
    return Preset(
        name=name,
        provider=provider,
        model=model or own,
        max_output_tokens=output,
        media_types=media_types,
    )


PRESETS: tuple[Preset, ...] = (
    _preset("openai:gpt-4o", output=16_384),
    _preset("openai:gpt-4o-mini", output=16_384),
    _preset("openai:gpt-4.1"),
    _preset("openai:o4-mini"),
    _preset("anthropic:claude-3-5-sonnet-20241022", output=8_192),
    _preset("anthropic:claude-sonnet-5-5"),
    _preset("anthropic:claude-opus-5-5"),
    _preset("anthropic:claude-haiku-5-5"),
    _preset("google:gemini-2.0-flash", output=8_192),
    _preset("google:gemini-2.5-pro"),
    _preset("google:gemini-2.5-flash"),
    _preset("novita:deepseek-v3", "deepseek/deepseek_v3", media_types=WORDS_ONLY),
    _preset("novita:deepseek-v3-0324", "deepseek/deepseek-v3-0324", media_types=WORDS_ONLY),
    _preset(
        "novita:qwen3-235b-a22b-thinking-2507",
        "qwen/qwen3-235b-a22b-thinking-2507",
        media_types=WORDS_ONLY,
    ),
    _preset("novita:moonshotai/kimi-k2-instruct", media_types=WORDS_ONLY),
    _preset("groq:moonshotai/kimi-k2-instruct-0905", media_types=WORDS_ONLY),
    _preset("groq:openai/gpt-oss-120b", media_types=WORDS_ONLY),
)


def provider(name: str) -> Provider | None:
    """The provider of that id or alias."""
    return next((p for p in PROVIDERS if name == p.id or name in p.aliases), None)


def preset(name: str) -> Preset | None:
    """The preset of that name."""
    return next((p for p in PRESETS if p.name == name), None)
