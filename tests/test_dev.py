"""Tests of `dev.py`, the script behind `make`; nothing here installs or builds for real."""

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def dev() -> Iterator[ModuleType]:
    """The script as a module; it is not on the import path, so it is loaded by its own."""
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["dev"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["dev"]


@pytest.fixture
def checkout(dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a console of one file, built by an npm that counts how often it is called."""
    web = tmp_path / "web"
    web.mkdir()
    (web / "package.json").write_text("{}")
    (web / "package-lock.json").write_text("{}")
    (web / "main.tsx").write_text("one")
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "WEB", web)
    monkeypatch.setattr(dev, "CONSOLE", tmp_path / "console")
    return tmp_path


def fake_npm(folder: Path) -> Path:
    """A folder with an `npm` that notes its arguments and builds one page."""
    npm = folder / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {folder}/calls\n'
        f"mkdir -p node_modules {folder}/console\n"
        f"echo page > {folder}/console/index.html\n"
    )
    npm.chmod(0o755)
    return npm.parent


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


class TestConsole:
    def test_it_is_built_once_for_the_same_sources(self, dev: ModuleType, checkout: Path) -> None:
        npm = fake_npm(checkout)

        dev.build_console(npm)
        dev.build_console(npm)

        assert calls(checkout) == ["ci", "run build"]

    def test_a_changed_source_builds_it_again_with_the_same_modules(
        self, dev: ModuleType, checkout: Path
    ) -> None:
        npm = fake_npm(checkout)
        dev.build_console(npm)

        (checkout / "web" / "main.tsx").write_text("two")
        dev.build_console(npm)

        assert calls(checkout) == ["ci", "run build", "run build"]

    def test_a_changed_lock_installs_the_modules_again(
        self, dev: ModuleType, checkout: Path
    ) -> None:
        npm = fake_npm(checkout)
        dev.build_console(npm)

        (checkout / "web" / "package-lock.json").write_text('{"lockfileVersion": 3}')
        dev.build_console(npm)

        assert calls(checkout) == ["ci", "run build", "ci", "run build"]

    def test_installed_modules_caches_and_the_generated_client_are_no_sources(
        self, dev: ModuleType, checkout: Path
    ) -> None:
        before = dev.digest_tree(checkout / "web")

        for name in ("node_modules", ".cache", "dist", "src/client"):
            (checkout / "web" / name).mkdir(parents=True)
            (checkout / "web" / name / "made.js").write_text("made")

        assert dev.digest_tree(checkout / "web") == before

    def test_a_build_that_leaves_no_page_is_an_error(self, dev: ModuleType, checkout: Path) -> None:
        npm = fake_npm(checkout)
        (npm / "npm").write_text("#!/bin/sh\nmkdir -p node_modules\n")

        with pytest.raises(dev.Stop, match="outDir"):
            dev.build_console(npm)

    def test_a_failed_build_shows_what_npm_said(self, dev: ModuleType, checkout: Path) -> None:
        npm = fake_npm(checkout)
        (npm / "npm").write_text("#!/bin/sh\necho 'main.tsx(1,1): error'\nexit 2\n")

        with pytest.raises(dev.Stop, match=re.escape("main.tsx(1,1): error")):
            dev.build_console(npm)


class TestMessages:
    @pytest.mark.parametrize(
        ("output", "hint"),
        [
            ("error: dns error: failed to lookup address information", "Check the network"),
            ("npm error code ENOTFOUND", "Check the network"),
            ("OSError: [Errno 28] No space left on device", "disk is full"),
            ("THESE PACKAGES: Hash mismatch for `rich`", "not the one in the lock"),
            ("The virtual environment was not created: ensurepip is not", "python3-venv"),
        ],
        ids=["dns", "npm-offline", "disk", "hash", "venv"],
    )
    def test_a_known_cause_comes_with_what_to_do(
        self, dev: ModuleType, output: str, hint: str
    ) -> None:
        assert hint in dev.failure(["uv", "pip", "sync"], output)

    def test_an_unknown_failure_is_shown_as_it_is(self, dev: ModuleType) -> None:
        assert dev.failure(["npm", "ci"], "odd\n") == "odd\nThis command failed: npm ci"

    def test_a_full_disk_is_refused_before_anything_is_fetched(
        self, dev: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dev, "DISK_NEEDED", 1 << 62)

        with pytest.raises(dev.Stop, match="Make room"):
            dev.refuse_full_disk()

    def test_an_old_python_is_told_which_one_is_needed(
        self, dev: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dev, "OLDEST_PYTHON", (99, 0))
        monkeypatch.setattr(dev, "NEWER_PYTHONS", ())

        with pytest.raises(dev.Stop, match=r"needs Python 3\.11"):
            dev.insist_on_python()


class TestNeeds:
    @pytest.fixture(autouse=True)
    def something_is_missing(self, dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        missing = dev.Need("bubblewrap", lambda: False, "the tests of the sandbox")
        monkeypatch.setattr(dev, "NEEDS", (missing,))
        monkeypatch.setattr(dev, "apt_install", lambda _: "Only root may install what is missing.")

    def test_on_a_desk_the_tests_run_without_it_and_say_so_loudly(
        self, dev: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("CI", raising=False)

        dev.provide_needs()

        said = capsys.readouterr().err
        assert "TESTS WILL BE SKIPPED" in said
        assert "the tests of the sandbox" in said

    def test_in_ci_it_is_an_error(self, dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI", "true")

        with pytest.raises(dev.Stop, match="the tests of the sandbox"):
            dev.provide_needs()


class TestEnvironment:
    @pytest.fixture
    def steps(
        self, dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> list[list[str]]:
        """The locks of every installation that was made; none is made for real."""
        installed: list[list[str]] = []

        def note(*command: str | Path) -> None:
            installed.append([Path(part).name for part in command if str(part).endswith(".txt")])

        monkeypatch.setattr(dev, "INSTALLED", tmp_path / "installed.json")
        monkeypatch.setattr(dev, "usable", lambda _: True)
        monkeypatch.setattr(dev, "quietly", note)
        monkeypatch.setattr(dev, "install_checkout", lambda: None)
        return installed

    def test_the_same_lock_is_installed_once(self, dev: ModuleType, steps: list[list[str]]) -> None:
        dev.sync("run")
        dev.sync("run")

        assert steps == [["runtime.txt", "build.txt"]]

    def test_an_environment_for_development_serves_a_run_as_well(
        self, dev: ModuleType, steps: list[list[str]]
    ) -> None:
        dev.sync("dev")
        dev.sync("run")

        assert steps == [["dev.txt"]]

    def test_a_run_never_takes_the_tools_of_development_away(
        self, dev: ModuleType, steps: list[list[str]]
    ) -> None:
        older = {"dev": "an older lock", "place": str(ROOT)}
        dev.INSTALLED.write_text(json.dumps(older))

        dev.sync("run")

        assert steps == [["dev.txt"]]

    def test_an_environment_that_was_moved_is_made_anew(
        self, dev: ModuleType, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dev.sync("dev")
        elsewhere = {**json.loads(dev.INSTALLED.read_text()), "place": "/elsewhere"}
        dev.INSTALLED.write_text(json.dumps(elsewhere))
        monkeypatch.setattr(dev, "VENV", dev.INSTALLED.parent / "venv")
        dev.VENV.mkdir()

        dev.sync("dev")

        assert steps == [["dev.txt"], [], ["dev.txt"]]
        assert not dev.VENV.exists()


def test_every_target_of_make_is_a_command_of_the_script(dev: ModuleType) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)

    assert declared is not None
    assert set(declared[1].split()) <= set(dev.COMMANDS)
