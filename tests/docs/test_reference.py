"""Holds the reference pages to the code: nothing undocumented, nothing documented that is gone."""

from collections.abc import Iterator
from typing import TypeAlias

import msgspec
import typer.main
from tests.docs.pages import code, codes, page, rows, section
from typer.core import TyperCommand, TyperGroup

import longhouse.runtime
from longhouse.cli import main as cli
from longhouse.cli.doctor import OWN_VARIABLES
from longhouse.kit.settings import describe_settings
from longhouse.protocol.events import BODIES, Channel, Delta, Outcome
from longhouse.runtime.models.presets import PRESETS, PROVIDERS
from longhouse.runtime.posts import Limits, Mode
from longhouse.runtime.tools.registry import builtin_tools
from longhouse.server.app import build_api

Command: TypeAlias = TyperCommand | TyperGroup


def line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


class TestSettings:
    def test_every_setting_stands_in_the_table_with_its_variables_default_and_meaning(self) -> None:
        table = [
            line(
                f"`{row.env[0]}`",
                ", ".join(f"`{name}`" for name in row.env[1:]),
                f"`{row.default}`" if row.default else "",
                row.description,
            )
            for row in describe_settings()
        ]

        text = section(page("docs/settings.md"), "All settings")

        assert [row for row in text.splitlines() if row.startswith("| `")] == table

    def test_every_provider_stands_in_the_table_of_models(self) -> None:
        table = [
            line(
                ", ".join(f"`{name}`" for name in (provider.id, *provider.aliases)),
                ", ".join(f"`{name}`" for name in provider.key_variables),
                ", ".join(f"`{name}`" for name in provider.base_url_variables),
                f"`{provider.default_model}`" if provider.default_model else "",
            )
            for provider in PROVIDERS
        ]

        text = section(page("docs/settings.md"), "Models")

        assert [row for row in text.splitlines() if row.startswith("| `")] == table

    def test_every_preset_is_named(self) -> None:
        named = codes(section(page("docs/settings.md"), "Presets"))

        assert named == [preset.name for preset in PRESETS]


class TestEvents:
    def test_every_event_type_has_a_section_on_its_channel_with_every_field(self) -> None:
        text = page("docs/events.md")
        documented = {
            (channel.value, code(row[0])): codes(row[1])
            for channel in Channel
            for row in rows(section(text, channel.value))
        }

        in_code = {
            (body.channel.value, str(body.__struct_config__.tag)): [
                field.encode_name for field in msgspec.structs.fields(body)
            ]
            for body in BODIES
        }
        assert documented == in_code

    def test_every_outcome_of_a_tool_call_is_documented(self) -> None:
        documented = [code(row[0]) for row in rows(section(page("docs/events.md"), "Outcomes"))]

        assert documented == [outcome.value for outcome in Outcome]

    def test_every_field_of_a_delta_is_documented(self) -> None:
        documented = [code(row[0]) for row in rows(section(page("docs/events.md"), "Deltas"))]

        assert documented == [field.encode_name for field in msgspec.structs.fields(Delta)]


class TestRoutes:
    def test_every_route_is_documented_and_every_documented_route_exists(self) -> None:
        documented = [
            (code(row[0]), code(row[1])) for row in rows(section(page("docs/http.md"), "Routes"))
        ]

        paths: dict[str, dict[str, object]] = build_api().openapi()["paths"]
        in_code = {
            (method.upper(), path)
            for path, methods in paths.items()
            for method in methods
            if method in {"get", "post", "put", "patch", "delete"}
        }
        assert set(documented) == in_code
        assert len(documented) == len(in_code), "a route stands in the table twice"


class TestCommandLine:
    def test_every_command_is_documented_with_every_option(self) -> None:
        text = page("docs/cli.md")
        shared = {code(row[0]) for row in rows(section(text, "Options of many commands"))}
        documented = {
            command_words(code(row[0])): set(codes(row[1]))
            for row in rows(section(text, "Commands"))
        }

        in_code = {path: options(command) - shared for path, command in commands()}
        assert documented == in_code

    def test_every_shared_option_is_one_of_some_command(self) -> None:
        text = page("docs/cli.md")
        shared = {code(row[0]) for row in rows(section(text, "Options of many commands"))}

        in_code = {name for _, command in commands() for name in options(command)}
        assert shared - {"--help"} <= in_code

    def test_every_variable_of_the_command_line_is_documented(self) -> None:
        documented = {code(row[0]) for row in rows(section(page("docs/cli.md"), "Variables"))}

        assert documented == OWN_VARIABLES


def command_words(usage: str) -> str:
    """`agents show` for `longhouse agents show AGENT`."""
    return " ".join(word for word in usage.split()[1:] if word.islower())


def commands() -> Iterator[tuple[str, Command]]:
    """Every command by its words, groups too where they do something by themselves."""
    for command in cli.COMMANDS:
        whole = typer.main.get_command(cli.build([command.name]))
        assert isinstance(whole, TyperGroup)
        yield from _with_subcommands(command.name, whole.commands[command.name])


def _with_subcommands(path: str, command: object) -> Iterator[tuple[str, Command]]:
    assert isinstance(command, TyperCommand | TyperGroup)
    if not isinstance(command, TyperGroup):
        yield path, command
        return
    if command.invoke_without_command:
        yield path, command
    for name, inner in command.commands.items():
        yield from _with_subcommands(f"{path} {name}", inner)


def options(command: Command) -> set[str]:
    """The long names of a command's options."""
    return {
        name for parameter in command.params for name in parameter.opts if name.startswith("--")
    }


class TestLibrary:
    def test_every_public_name_of_the_library_is_documented(self) -> None:
        text = section(page("docs/runtime-reference.md"), "Every name")
        documented = [code(row[0]) for row in rows(text)]

        assert documented == sorted(longhouse.runtime.__all__)

    def test_every_built_in_tool_is_documented_with_its_arguments(self) -> None:
        documented = {
            code(row[0]): codes(row[1])
            for row in rows(section(page("docs/runtime-reference.md"), "Built-in tools"))
        }

        in_code = {tool.name: list(tool.schema["properties"]) for tool in builtin_tools()}
        assert documented == in_code

    def test_every_mode_and_every_limit_is_documented(self) -> None:
        text = page("docs/runtime-reference.md")
        modes = [code(row[0]) for row in rows(section(text, "Permissions and approvals"))]
        limits = {code(row[0]): row[1] for row in rows(section(text, "Limits"))}

        assert modes == [mode.value for mode in Mode]
        assert limits == {
            field: f"{int(getattr(Limits(), field)):,}" for field in Limits.__dataclass_fields__
        }
