"""Models from the environment: which one a name stands for, and what is wrong when none is."""

import subprocess
import sys

import pytest
from tests.peers.fakellm import FakeVendor

from longhouse.protocol.events import Text
from longhouse.runtime.model import ModelRefused, ModelRequest, ModelResponse, UserMessage
from longhouse.runtime.models.demo import DemoModel
from longhouse.runtime.models.endpoint import Endpoint, WireProtocol
from longhouse.runtime.models.environment import EnvironmentModels, ModelEnvironment
from longhouse.runtime.models.presets import PRESETS, PROVIDERS, Preset, Provider
from longhouse.runtime.models.vendors import VendorModel

KEY = "sk-secret-0123456789"


def models(**environ: str) -> EnvironmentModels:
    return EnvironmentModels(ModelEnvironment.from_env(environ))


def endpoint(found: EnvironmentModels, name: str = "auto") -> Endpoint:
    model = found.model(name)
    assert isinstance(model, VendorModel)
    return model.endpoint


class TestAuto:
    def test_nothing_set_is_the_demo_model(self) -> None:
        assert isinstance(models().model("auto"), DemoModel)
        assert models().choose("auto").reason == "no key and no model is set"

    def test_empty_variables_count_as_not_set(self) -> None:
        found = models(OPENAI_API_KEY=" ", API_LLM_PROVIDER_MODEL="")

        assert isinstance(found.model("auto"), DemoModel)

    @pytest.mark.parametrize("each", PROVIDERS, ids=lambda each: each.id)
    def test_a_key_alone_picks_its_providers_default(self, each: Provider) -> None:
        made = endpoint(models(**{each.key_variables[-1]: KEY}))

        assert (made.model, made.base_url) == (each.default_model, each.base_url)
        assert made.key_setting == each.key_variables[-1]

    def test_the_configured_name_is_taken_before_any_default(self) -> None:
        found = models(
            API_LLM_PROVIDER_MODEL="openai:gpt-4o", ANTHROPIC_API_KEY=KEY, OPENAI_API_KEY=KEY
        )

        assert endpoint(found).model == "gpt-4o"
        assert found.choose("auto").reason == "API_LLM_PROVIDER_MODEL says so"

    def test_a_server_of_ones_own_needs_no_key(self) -> None:
        made = endpoint(
            models(
                API_LLM_PROVIDER_MODEL="openai_compatible:llama3",
                OPENAI_BASE_URL="http://localhost:11434/v1/",
            )
        )

        assert (made.model, made.base_url, made.api_key) == (
            "llama3",
            "http://localhost:11434/v1",
            "",
        )

    def test_a_configured_model_that_cannot_be_used_is_never_replaced(self) -> None:
        with pytest.raises(ModelRefused, match="needs a key of openai") as caught:
            models(API_LLM_PROVIDER_MODEL="openai:gpt-4o").model("auto")

        assert "Set OPENAI_API_KEY" in str(caught.value)

    def test_demo_can_be_configured_beside_keys(self) -> None:
        found = models(API_LLM_PROVIDER_MODEL="demo", OPENAI_API_KEY=KEY)

        assert isinstance(found.model("auto"), DemoModel)


class TestNames:
    @pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
    def test_each_preset_is_a_model_of_its_provider(self, preset: Preset) -> None:
        keys = {each.key_variables[0]: KEY for each in PROVIDERS}
        name = preset.name

        made = endpoint(models(**keys), name)

        assert made.model == preset.model
        assert made.max_output_tokens == preset.max_output_tokens

    def test_any_model_of_a_provider_can_be_named(self) -> None:
        found = models(ANTHROPIC_API_KEY=KEY, OPENROUTER_API_KEY=KEY)

        assert endpoint(found, "anthropic:claude-next").protocol is WireProtocol.ANTHROPIC
        assert endpoint(found, "openrouter:vendor/some:free").model == "vendor/some:free"

    @pytest.mark.parametrize("name", ["gpt-4o", "nobody:gpt", "openai:", "vertex:gemini", ":"])
    def test_a_name_that_means_nothing_is_explained(self, name: str) -> None:
        with pytest.raises(ModelRefused, match="There is no model") as caught:
            models(OPENAI_API_KEY=KEY).model(name)

        assert "<provider>:<model>" in str(caught.value)
        assert "API_LLM_PROVIDER_MODEL" in str(caught.value)

    def test_each_model_is_built_once(self) -> None:
        found = models(OPENAI_API_KEY=KEY)

        assert found.model("openai:gpt-4o") is found.model("openai:gpt-4o")
        assert found.model("openai:gpt-4o") is not found.model("openai:gpt-4o-mini")
        assert found.model("demo") is found.model("demo")


class TestSettings:
    def test_the_first_variable_that_is_set_wins_and_is_named(self) -> None:
        found = endpoint(models(API_OPEN_AI_API_KEY=KEY, OPENAI_API_KEY="other"))

        assert found.api_key == KEY
        assert found.key_setting == "API_OPEN_AI_API_KEY"

    def test_a_base_url_that_is_none_names_its_variable(self) -> None:
        with pytest.raises(ModelRefused, match="API_OPENAI_FORCE_BASE_URL"):
            models(OPENAI_API_KEY=KEY, API_OPENAI_FORCE_BASE_URL="localhost").model("auto")

    def test_plain_values_do_without_an_environment(self) -> None:
        environment = ModelEnvironment.of(model="auto", anthropic_api_key=KEY)

        assert endpoint(EnvironmentModels(environment)).model.startswith("claude-")

    def test_plain_values_may_be_joined_by_the_other_providers_variables(self) -> None:
        environment = ModelEnvironment.of(
            model="groq:openai/gpt-oss-120b", environ={"GROQ_API_KEY": KEY, "OPENAI_API_KEY": "x"}
        )

        found = EnvironmentModels(environment)

        assert endpoint(found).base_url == "https://api.groq.com/openai/v1"
        with pytest.raises(ModelRefused, match="needs a key"):
            found.model("openai:gpt-4o")

    def test_no_key_is_in_any_representation(self) -> None:
        environment = ModelEnvironment.from_env({"OPENAI_API_KEY": KEY})
        found = EnvironmentModels(environment)

        for thing in (environment, endpoint(found), found.model("auto"), found.choose("auto")):
            assert KEY not in repr(thing)
            assert KEY not in str(thing)


async def test_a_configured_model_answers() -> None:
    async with FakeVendor(key=KEY) as vendor:
        found = models(
            OPENAI_API_KEY=KEY,
            OPENAI_BASE_URL=vendor.openai_url,
            API_LLM_PROVIDER_MODEL="openai:fake-1",
        )
        asked = ModelRequest(
            step=1, system="", messages=(UserMessage("hi"),), tools=(), output_tokens=100
        )
        answer = [item async for item in found.model("auto").stream(asked)][-1]
        await found.aclose()

    assert isinstance(answer, ModelResponse)
    assert answer.blocks == (Text(step=1, text="ok"),)


def test_no_vendor_package_is_imported_before_a_model_is_called() -> None:
    code = (
        "import sys\n"
        "from longhouse.runtime.models.environment import EnvironmentModels, ModelEnvironment\n"
        "models = EnvironmentModels(ModelEnvironment.of(openai_api_key='k'))\n"
        "models.model('auto')\n"
        "print([n for n in ('openai', 'anthropic', 'pydantic_ai', 'httpx2') if n in sys.modules])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == "[]"
