"""Models by name from a plain mapping: for embedders with a model of their own, and for tests.

Used where a `Models` is asked for. It builds nothing and reads no settings.
"""

from __future__ import annotations

from longhouse.runtime.model import Model, ModelRefused


class FixedModels:
    """Named models, and a default one for every other name."""

    def __init__(self, default: Model | None = None, /, **named: Model) -> None:
        self._default = default
        self._named = named

    def model(self, name: str) -> Model:
        """The model of that name, else the default. Raises `ModelRefused` when there is none."""
        model = self._named.get(name, self._default)
        if model is None:
            known = ", ".join(sorted(self._named)) or "none"
            raise ModelRefused(f"There is no model {name!r}.", hint=f"Known models: {known}.")
        return model
