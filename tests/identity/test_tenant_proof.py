"""A tenant's id is proved in one module and nowhere else."""

import ast
from pathlib import Path

import longhouse
from longhouse.identity.scopes import ALL_SCOPES

PACKAGE = Path(longhouse.__file__).parent
PROOF = PACKAGE / "identity" / "auth.py"

REQUEST_SIDE = ("api.py", "app.py", "health.py", "console.py")
"""Modules that see what a client sent: there the tenant comes with the principal."""


def calls_of(name: str) -> set[Path]:
    """The modules that call something of this name."""
    return {
        path
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and (getattr(node.func, "id", None) == name or getattr(node.func, "attr", None) == name)
    }


def test_only_identity_makes_a_proved_tenant_id() -> None:
    assert calls_of("TenantId") == {PROOF}


def test_nothing_that_sees_a_request_takes_a_tenant_on_trust() -> None:
    trusting = calls_of("tenant_of_own_row")

    assert [path for path in trusting if path.name in REQUEST_SIDE] == []


def test_every_scope_that_is_asked_for_belongs_to_a_role() -> None:
    asked = {
        node.args[0].value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"require", "may"}
        and isinstance(node.args[0], ast.Constant)
    }

    assert "agents:write" in asked
    assert asked <= ALL_SCOPES
