"""MCP servers by a file."""

from pathlib import Path

import pytest

from longhouse.kit.errors import Misconfigured
from longhouse.runtime.mcp.file import read_servers
from longhouse.runtime.mcp.server import McpServer


def written(directory: Path, text: str) -> Path:
    path = directory / "mcp.json"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_names_programs_and_addresses(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """{"mcpServers": {
            "files": {"command": "npx", "args": ["-y", "files"], "env": {"A": "b"}, "cwd": "/srv"},
            "web": {"type": "http", "url": "https://example.org/mcp", "headers": {"x": "y"},
                    "allowTools": ["get_*"], "trustHints": false, "callSeconds": 5}
        }}""",
    )
    assert read_servers(path) == (
        McpServer("files", command=("npx", "-y", "files"), env={"A": "b"}, cwd=Path("/srv")),
        McpServer(
            "web",
            url="https://example.org/mcp",
            headers={"x": "y"},
            allow_tools=("get_*",),
            trust_hints=False,
            call_seconds=5,
        ),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "truncated"),
        ("{}", "missing required field `mcpServers`"),
        ('{"mcpServers": {"a": {"comand": "x"}}}', "unknown field `comand`"),
        ('{"mcpServers": {"a": {}}}', "give a command or a url"),
        ('{"mcpServers": {"A.B": {"command": "x"}}}', "cannot be an MCP server's name"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        read_servers(written(tmp_path, text))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="No such file"):
        read_servers(tmp_path / "none.json")
