"""The library's face is whole: every name explains itself, and every type it speaks of has a name.

`longhouse.runtime` and the modules that its docstring calls public are what a program may use.
"""

import inspect
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

import longhouse.runtime

PUBLIC_MODULES = (
    "longhouse.protocol.events",
    "longhouse.runtime.models.scripted",
    "longhouse.runtime.journals.base",
    "longhouse.runtime.model",
    "longhouse.runtime.sandbox.base",
    "longhouse.kit.bus.base",
)
HANDED_THROUGH = {"Agent", "Room", "ToolContext"}
"""Made by the runtime alone: what they are made of is nobody else's business."""

NAMES = sorted(longhouse.runtime.__all__)


def public() -> set[object]:
    """Everything that has a public name, by identity."""
    named = [getattr(longhouse.runtime, name) for name in NAMES]
    modules = [import_module(name) for name in PUBLIC_MODULES]
    return {id(each) for each in named} | {
        id(each) for module in modules for each in vars(module).values()
    }


def functions(name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public functions behind a name: itself, or its methods and properties."""
    value = getattr(longhouse.runtime, name)
    if inspect.isfunction(value):
        yield name, value
    elif isinstance(value, type):
        for method, found in vars(value).items():
            function = found.fget if isinstance(found, property) else found
            function = getattr(function, "__func__", function)
            if inspect.isfunction(function) and not method.startswith("_"):
                yield f"{name}.{method}", function


def spoken_of(hint: object) -> Iterator[type]:
    """The classes of Longhouse in a hint."""
    for part in typing.get_args(hint):
        for each in part if isinstance(part, list) else [part]:
            yield from spoken_of(each)
    kind = typing.get_origin(hint) or hint
    if isinstance(kind, type) and kind.__module__.startswith("longhouse."):
        yield kind


def hints(name: str) -> Iterator[object]:
    """Every hint behind a name: of arguments, results and attributes."""
    value = getattr(longhouse.runtime, name)
    if isinstance(value, type) and name not in HANDED_THROUGH:
        yield from typing.get_type_hints(value.__init__).values()  # type: ignore[misc]
        yield from typing.get_type_hints(value).values()
    for _, function in functions(name):
        yield from typing.get_type_hints(function).values()


def test_its_list_of_names_is_in_order_and_whole() -> None:
    names = [name for name in vars(longhouse.runtime) if not name.startswith("_")]
    modules = [name for name in names if inspect.ismodule(getattr(longhouse.runtime, name))]

    assert set(names) - set(modules) == set(NAMES)
    assert len(NAMES) == len(longhouse.runtime.__all__)


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_every_public_module_is_named_in_its_docstring(module: str) -> None:
    assert longhouse.runtime.__doc__ is not None
    assert module.removeprefix("longhouse.runtime.") in longhouse.runtime.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_every_name_and_every_method_says_what_it_is(name: str) -> None:
    value = getattr(longhouse.runtime, name)

    silent = [place for place, function in functions(name) if not function.__doc__]

    assert not isinstance(value, type) or value.__doc__
    assert silent == []


@pytest.mark.parametrize("name", NAMES)
def test_every_type_it_speaks_of_can_be_named(name: str) -> None:
    known = public()

    nameless = {
        f"{kind.__module__}.{kind.__qualname__}"
        for hint in hints(name)
        for kind in spoken_of(hint)
        if id(kind) not in known and not kind.__name__.startswith("_")
    }

    assert nameless == set()
