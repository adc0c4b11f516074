"""Names, schemas and globs of MCP servers: what is foreign is made fit, or left out."""

import dataclasses

import pytest
from mcp_types import Tool as Listed
from mcp_types import ToolAnnotations
from tests.docs.pages import code, page, rows, section

from longhouse.protocol.events import JsonObject
from longhouse.runtime.mcp.server import McpServer, is_glob
from longhouse.runtime.mcp.translate import (
    LONGEST_NAME,
    LONGEST_RESULT,
    UnusableTool,
    cut,
    make_tool,
    tool_name,
)
from longhouse.runtime.tools.base import InvalidArguments, Tool, ToolResult

SERVER = McpServer("files", command=("files",))


async def never(tool: str, arguments: JsonObject) -> ToolResult:
    raise AssertionError("nothing is called here")


def made(schema: JsonObject, server: McpServer = SERVER, **hints: bool) -> Tool:
    annotations = ToolAnnotations(**hints) if hints else None
    return make_tool(
        server, Listed(name="one", input_schema=schema, annotations=annotations), never
    )


@pytest.mark.parametrize("name", ["", "UPPER", "a__b", "a.b", "_a", "a_", "a" * 40, "a b"])
def test_a_name_that_cannot_be_part_of_a_tools_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be an MCP server's name"):
        McpServer(name, command=("x",))


def test_a_server_has_a_command_or_an_address() -> None:
    with pytest.raises(ValueError, match="one of them"):
        McpServer("x")
    with pytest.raises(ValueError, match="one of them"):
        McpServer("x", command=("x",), url="http://x")
    with pytest.raises(TypeError, match="list of words"):
        McpServer("x", command="npx server")


def test_every_setting_of_a_server_is_documented() -> None:
    documented = {
        code(row[0]) for row in rows(section(page("docs/mcp.md"), "Tools of MCP servers"))
    }
    assert documented == {field.name for field in dataclasses.fields(McpServer)}


def test_secrets_are_not_in_a_servers_repr() -> None:
    server = McpServer("x", url="http://x", headers={"authorization": "Bearer t0ken"})
    assert "t0ken" not in repr(server)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mcp__files__read", True),
        ("mcp__files__*", True),
        ("mcp__*", True),
        ("mcp__f*__read", True),
        ("mcp__other__*", False),
        ("mcp__filesystem__x", False),
        ("*", False),
        ("fs_read", False),
    ],
)
def test_a_posts_name_or_glob_means_the_servers_it_can_match(name: str, meant: bool) -> None:
    assert SERVER.is_meant_by(name) is meant


def test_only_names_of_mcp_tools_may_be_globs() -> None:
    assert is_glob("mcp__files__*")
    assert not is_glob("mcp__files__read")
    assert not is_glob("fs_*")


def test_a_name_no_vendor_takes_is_made_fit_and_stays_apart_from_others() -> None:
    names = ["a.b", "a/b", "a b", "a_b", "x" * 200, "x" * 201]
    fit = [tool_name(SERVER, name) for name in names]
    assert len(set(fit)) == len(names)
    assert all(len(name) <= LONGEST_NAME for name in fit)
    assert all(name.startswith("mcp__files__") for name in fit)
    assert fit[3] == "mcp__files__a_b"


def test_the_schema_reaches_the_model_unchanged_and_the_hints_become_attributes() -> None:
    schema = {"type": "object", "title": "Odd", "properties": {"a": {"type": "array"}}, "$id": "x"}
    tool = made(schema, read_only_hint=True)
    assert tool.schema == schema
    assert (tool.reads_only, tool.repeatable, tool.parallel) == (True, True, True)
    writes = made({"type": "object"}, read_only_hint=False, idempotent_hint=True)
    assert (writes.reads_only, writes.repeatable, writes.parallel) == (False, True, False)
    unsaid = made({"type": "object"})
    assert (unsaid.reads_only, unsaid.repeatable) == (None, False)


def test_the_word_of_a_server_that_is_not_trusted_does_not_count() -> None:
    careful = McpServer("files", command=("files",), trust_hints=False)
    tool = made({"type": "object"}, careful, read_only_hint=True, idempotent_hint=True)
    assert (tool.reads_only, tool.repeatable) == (None, False)


def test_arguments_are_held_to_the_schema() -> None:
    tool = made(
        {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    )
    assert tool.validate({"n": 1, "more": 2}) == {"n": 1, "more": 2}
    with pytest.raises(InvalidArguments, match="- n: 'x' is not of type 'integer'"):
        tool.validate({"n": "x"})
    with pytest.raises(InvalidArguments, match="'n' is a required property"):
        tool.validate({})


def test_a_schema_cannot_make_us_fetch_anything_or_compute_for_ever() -> None:
    afar = made({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/schema"}}})
    assert afar.validate({"a": 1}) == {"a": 1}
    slow = made({"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}})
    assert slow.validate({"a": "a" * 50 + "!"})
    endless = made({"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}})
    assert endless.validate({"a": 1}) == {"a": 1}


@pytest.mark.parametrize("schema", [{"type": "object", "properties": 5}, {"type": "array"}, {}])
def test_a_tool_whose_schema_is_none_is_not_offered(schema: JsonObject) -> None:
    with pytest.raises(UnusableTool):
        made(schema)


def test_a_long_text_loses_its_middle_and_says_how_much() -> None:
    text = cut("a" * LONGEST_RESULT + "b" * 1000 + "the end")
    assert "[1,007 characters were cut here; ask for less at a time]" in text
    assert text.startswith("aaa")
    assert text.endswith("the end")
