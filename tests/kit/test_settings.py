"""Settings read from the environment."""

import re
from pathlib import Path

import pytest

from longhouse.kit.errors import Misconfigured
from longhouse.kit.settings import (
    SandboxMode,
    Settings,
    describe_settings,
    load_settings,
    unknown_variables,
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in describe_settings():
        for name in row.env:
            monkeypatch.delenv(name, raising=False)


def test_without_any_variable_everything_has_a_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    settings = load_settings()

    assert settings.data_dir == tmp_path / "longhouse"
    assert settings.database_url == f"sqlite:///{tmp_path}/longhouse/longhouse.db"
    assert (settings.host, settings.port) == ("127.0.0.1", 8420)
    assert settings.sandbox is SandboxMode.AUTO
    assert settings.repository_roots == (Path.home().resolve(),)
    assert settings.openai_api_key is None


def test_the_database_follows_the_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGHOUSE_DATA_DIR", "/srv/house")

    assert load_settings().database_url == "sqlite:////srv/house/longhouse.db"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGHOUSE_PORT", "")

    assert load_settings().port == 8420


def test_roots_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGHOUSE_REPOSITORY_ROOTS", "/srv/a, ~/b,")

    assert load_settings().repository_roots == (Path("/srv/a"), (Path.home() / "b").resolve())


@pytest.mark.parametrize(
    ("variable", "field"),
    [
        ("LONGHOUSE_OPENAI_API_KEY", "openai_api_key"),
        ("API_OPEN_AI_API_KEY", "openai_api_key"),
        ("OPENAI_API_KEY", "openai_api_key"),
        ("API_ANTHROPIC_API_KEY", "anthropic_api_key"),
        ("ANTHROPIC_API_KEY", "anthropic_api_key"),
        ("JWT_SECRET", "jwt_secret"),
    ],
)
def test_keys_are_taken_from_their_usual_variables_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, field: str
) -> None:
    secret = "s3cret-" * 6
    monkeypatch.setenv(variable, secret)

    settings = load_settings()

    assert getattr(settings, field).get_secret_value() == secret
    assert secret not in repr(settings)
    assert secret not in settings.model_dump_json()


def test_our_own_variable_wins_over_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://usual/v1")
    monkeypatch.setenv("LONGHOUSE_OPENAI_BASE_URL", "https://ours/v1/")

    assert load_settings().openai_base_url == "https://ours/v1"


def test_the_model_is_taken_from_its_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_LLM_PROVIDER_MODEL", "openai:gpt-x")

    assert load_settings().model == "openai:gpt-x"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LONGHOUSE_PORT", "eighty", "LONGHOUSE_PORT.*integer"),
        ("LONGHOUSE_PORT", "70000", "LONGHOUSE_PORT.*65535"),
        (
            "LONGHOUSE_SANDBOX",
            "none",
            "LONGHOUSE_SANDBOX.*'auto', 'bubblewrap', 'landlock' or 'off'",
        ),
        ("LONGHOUSE_DATABASE_URL", "mysql://x", "LONGHOUSE_DATABASE_URL.*postgresql://"),
        ("LONGHOUSE_BUS_URL", "redis://x", "LONGHOUSE_BUS_URL.*nats://"),
        ("LONGHOUSE_BUS_URL", "nats://a:4222,b:4222", "LONGHOUSE_BUS_URL.*nats://"),
        ("LONGHOUSE_BUS_URL", "nats://a:eighty", "LONGHOUSE_BUS_URL"),
        ("LONGHOUSE_PUBLIC_URL", "house.example", "LONGHOUSE_PUBLIC_URL.*http://"),
        ("LONGHOUSE_REPOSITORY_ROOTS", "code", "LONGHOUSE_REPOSITORY_ROOTS.*absolute"),
        ("API_OPENAI_FORCE_BASE_URL", "localhost:1", "API_OPENAI_FORCE_BASE_URL.*http://"),
        ("JWT_SECRET", "short", "JWT_SECRET.*at least 32"),
        ("CONFIG_ENCRYPTION_KEY", "short", "CONFIG_ENCRYPTION_KEY.*at least 32"),
    ],
)
def test_a_wrong_value_names_the_setting_the_problem_and_the_way_out(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(Misconfigured) as caught:
        load_settings()

    assert re.search(said, caught.value.detail)
    assert "unset it" in (caught.value.hint or "")


def test_a_wrong_key_is_not_repeated_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "hunter2")

    with pytest.raises(Misconfigured) as caught:
        load_settings()

    assert "hunter2" not in str(caught.value.problem())


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1  # type: ignore[misc]


def test_settings_can_be_built_by_field_name_for_tests() -> None:
    assert Settings(model="demo", port=0).model == "demo"


def test_every_setting_says_what_it_is_and_where_it_is_read_from() -> None:
    for row in describe_settings():
        assert row.description.endswith(".")
        assert row.env[0] == f"LONGHOUSE_{row.name.upper()}"


def test_a_misspelt_variable_is_found() -> None:
    assert unknown_variables({"LONGHOUSE_PROT": "1", "LONGHOUSE_PORT": "1", "HOME": "/"}) == (
        "LONGHOUSE_PROT",
    )
