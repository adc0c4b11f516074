"""Models from plain values: a model name, keys and base URLs, usually out of the environment.

Implements `Models`. Used by the server until a scope has keys of its own, and by embedders:

    models = EnvironmentModels(ModelEnvironment.from_env())
    runtime = Runtime(models=models, ...)
    ...
    await models.aclose()

A name is `auto`, `demo`, a preset, or `<provider>:<model>`. What is configured and cannot be used
is an error that names the setting; the demo model never takes its place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from longhouse.kit.clock import Clock, SystemClock
from longhouse.runtime.attachments import PICTURES
from longhouse.runtime.model import Model, ModelRefused
from longhouse.runtime.models import presets
from longhouse.runtime.models.demo import DEMO, DemoModel
from longhouse.runtime.models.endpoint import CONNECT_SECONDS, IDLE_SECONDS, Endpoint
from longhouse.runtime.models.presets import PROVIDERS, Preset, Provider
from longhouse.runtime.models.vendors import VendorModel

AUTO = "auto"
"""Whatever is configured; the demo model when nothing is."""

MODEL_VARIABLES = ("LONGHOUSE_MODEL", "API_LLM_PROVIDER_MODEL")

DEMO_PACE = 0.015
"""Seconds between two fragments of the demo model, so that a person sees the stream."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a provider needs from outside."""

    api_key: str = field(default="", repr=False)
    base_url: str = ""  # empty: the provider's usual one
    key_setting: str = ""  # where the key is, for messages; empty: the provider's last variable
    base_url_setting: str = ""

    @property
    def given(self) -> bool:
        """Whether anybody set anything."""
        return bool(self.api_key or self.base_url)


NO_ACCESS = Access()


@dataclass(frozen=True, kw_only=True)
class ModelEnvironment:
    """The values models are made of."""

    model: str = AUTO
    access: Mapping[str, Access] = field(default_factory=dict)  # provider id -> its values
    model_setting: str = MODEL_VARIABLES[-1]
    scope: str = "the environment"  # for messages
    connect_seconds: float = CONNECT_SECONDS
    idle_seconds: float = IDLE_SECONDS  # without one byte of an answer

    def __post_init__(self) -> None:
        object.__setattr__(self, "access", MappingProxyType(dict(self.access)))

    @classmethod
    def of(
        cls,
        *,
        model: str = AUTO,
        openai_api_key: str | None = None,
        openai_base_url: str | None = None,
        anthropic_api_key: str | None = None,
        anthropic_base_url: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> ModelEnvironment:
        """The two common providers by value; `environ` adds the others' variables, if given."""
        access = dict(cls.from_env(environ).access) if environ is not None else {}
        access["openai"] = Access(api_key=openai_api_key or "", base_url=openai_base_url or "")
        access["anthropic"] = Access(
            api_key=anthropic_api_key or "", base_url=anthropic_base_url or ""
        )
        setting, _ = _first(environ or {}, MODEL_VARIABLES)
        return cls(model=model or AUTO, model_setting=setting, access=access)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> ModelEnvironment:
        """From the documented environment variables; empty ones count as not set."""
        environ = os.environ if environ is None else environ
        setting, model = _first(environ, MODEL_VARIABLES)
        return cls(
            model=model or AUTO,
            model_setting=setting,
            access={provider.id: _access(environ, provider) for provider in PROVIDERS},
        )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which model a name stands for, and why. Holds no key."""

    provider: str  # `demo` or a provider's id
    model: str
    reason: str


class EnvironmentModels:
    """Finds models by name; each is built once and shared by all agents."""

    def __init__(
        self,
        environment: ModelEnvironment,
        *,
        clock: Clock | None = None,
        demo_pace: float = DEMO_PACE,
    ) -> None:
        """`demo_pace`: seconds between two fragments of the demo model; 0 sends all at once."""
        self._environment = environment
        self._demo = DemoModel(pace=demo_pace, clock=clock or SystemClock())
        self._models: dict[Endpoint, VendorModel] = {}

    def model(self, name: str) -> Model:
        """The model of that name. Raises `ModelRefused`."""
        choice = self.choose(name)
        if choice.provider == DEMO:
            return self._demo
        endpoint = self._endpoint(choice)
        if endpoint not in self._models:
            self._models[endpoint] = VendorModel(endpoint)
        return self._models[endpoint]

    def choose(self, name: str) -> Choice:
        """What the name stands for. Raises `ModelRefused` when it stands for nothing usable."""
        if name and name != AUTO:
            return self._named(name, "it was asked for by name")
        configured = self._environment.model
        if configured and configured != AUTO:
            return self._named(configured, f"{self._environment.model_setting} says so")
        return self._automatic()

    async def aclose(self) -> None:
        """Close the connections of all models. They open again when they are called."""
        for model in self._models.values():
            await model.aclose()

    def _automatic(self) -> Choice:
        for provider in PROVIDERS:
            access = self._access(provider)
            if access.given and provider.default_model is not None:
                return Choice(
                    provider=provider.id,
                    model=provider.default_model,
                    reason=f"{_given_setting(provider, access)} is set and no model is named",
                )
        return Choice(provider=DEMO, model=DEMO, reason="no key and no model is set")

    def _named(self, name: str, reason: str) -> Choice:
        name = name.strip()
        if name == DEMO:
            return Choice(provider=DEMO, model=DEMO, reason=reason)
        preset = presets.preset(name)
        provider_id, _, model = name.partition(":")
        if preset is not None:
            provider_id, model = preset.provider, preset.model
        provider = presets.provider(provider_id)
        if provider is None or not model:
            raise self._unknown(name)
        self._check_access(provider, name)
        return Choice(provider=provider.id, model=model, reason=reason)

    def _check_access(self, provider: Provider, name: str) -> None:
        access = self._access(provider)
        own_server = bool(access.base_url) and access.base_url != provider.base_url
        if not access.api_key and not own_server:
            raise ModelRefused(
                f"Model {name!r} needs a key of {provider.id}, and none is set"
                f" in {self._environment.scope}.",
                hint=f"Set {provider.key_variables[-1]}, or choose another model"
                f" in {self._environment.model_setting}.",
            )

    def _unknown(self, name: str) -> ModelRefused:
        known = ", ".join(provider.id for provider in PROVIDERS)
        return ModelRefused(
            f"There is no model {name!r}.",
            hint=f"Write auto, demo, or <provider>:<model> with a provider of {known};"
            f" set it in {self._environment.model_setting} ({self._environment.scope})"
            " or in the post.",
        )

    def _endpoint(self, choice: Choice) -> Endpoint:
        provider = presets.provider(choice.provider)
        assert provider is not None, "a choice has a provider of the table"
        access = self._access(provider)
        return Endpoint(
            protocol=provider.protocol,
            base_url=access.base_url or provider.base_url or "",
            api_key=access.api_key,
            model=choice.model,
            vendor="" if access.base_url else provider.id,
            scope=self._environment.scope,
            key_setting=_key_setting(provider, access),
            base_url_setting=_base_url_setting(provider, access),
            model_setting=self._environment.model_setting,
            media_types=_media_types(provider, access, choice),
            max_output_tokens=_most_output(choice),
            connect_seconds=self._environment.connect_seconds,
            idle_seconds=self._environment.idle_seconds,
        )

    def _access(self, provider: Provider) -> Access:
        return self._environment.access.get(provider.id, NO_ACCESS)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """The first variable that is set, and its value; the last name and nothing when none is."""
    for name in names:
        if value := environ.get(name, "").strip():
            return name, value
    return (names[-1] if names else ""), ""


def _access(environ: Mapping[str, str], provider: Provider) -> Access:
    key_setting, api_key = _first(environ, provider.key_variables)
    base_url_setting, base_url = _first(environ, provider.base_url_variables)
    return Access(
        api_key=api_key,
        base_url=base_url,
        key_setting=key_setting,
        base_url_setting=base_url_setting,
    )


def _key_setting(provider: Provider, access: Access) -> str:
    return access.key_setting or provider.key_variables[-1]


def _base_url_setting(provider: Provider, access: Access) -> str:
    usual = provider.base_url_variables[-1] if provider.base_url_variables else "the base URL"
    return access.base_url_setting or usual


def _given_setting(provider: Provider, access: Access) -> str:
    if access.api_key:
        return _key_setting(provider, access)
    return _base_url_setting(provider, access)


def _preset_of(choice: Choice) -> Preset | None:
    named = (choice.provider, choice.model)
    return next((p for p in presets.PRESETS if (p.provider, p.model) == named), None)


def _most_output(choice: Choice) -> int | None:
    preset = _preset_of(choice)
    return None if preset is None else preset.max_output_tokens


def _media_types(provider: Provider, access: Access, choice: Choice) -> frozenset[str]:
    """What the model can be shown. A server of one's own hardly ever takes more than pictures."""
    preset = _preset_of(choice)
    if preset is not None and preset.media_types is not None:
        return preset.media_types
    return provider.media_types & PICTURES if access.base_url else provider.media_types
