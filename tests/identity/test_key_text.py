"""The text of API keys: made, read back, and mistyped in every way."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longhouse.identity import key_text
from longhouse.kit.ids import new_id

TENANT, AGENT = new_id("tenant"), new_id("agent")
BASE64 = string.ascii_letters + string.digits + "-_"


def old_form(said: str) -> str:
    return "mmc_" + base64.b64encode(said.encode()).decode()


class TestNewForm:
    @pytest.mark.parametrize("agent", [AGENT, None], ids=["of an agent", "of a tenant"])
    def test_a_key_says_whose_it_is(self, agent: str | None) -> None:
        parsed = key_text.parse(key_text.make(TENANT, agent))

        assert parsed is not None
        assert (parsed.tenant_id, parsed.agent_id, parsed.version) == (TENANT, agent, "v2")

    def test_it_is_base64url_of_tenant_agent_random_and_version(self) -> None:
        text = key_text.make("tenant_a", "agent_b")

        body = base64.urlsafe_b64decode(text.removeprefix("mmc_") + "==").decode()
        assert body.startswith("tenant_a_agent_b_")
        assert "_v2." in body
        assert "=" not in text

    def test_its_random_part_has_at_least_128_bits_and_is_never_the_same(self) -> None:
        randoms = set()
        for _ in range(100):
            parsed = key_text.parse(key_text.make(TENANT, AGENT))
            assert parsed is not None
            randoms.add(parsed.random)

        assert len(randoms) == 100
        assert all(len(bytes.fromhex(one)) >= 16 for one in randoms)

    def test_every_wrong_character_is_found(self) -> None:
        text = key_text.make(TENANT, AGENT)

        for place in range(len(text)):
            for other in BASE64 + "=+/. ":
                if other != text[place]:
                    wrong = text[:place] + other + text[place + 1 :]
                    assert key_text.parse(wrong) is None, (place, other)

    def test_swapped_missing_and_doubled_characters_are_found(self) -> None:
        text = key_text.make(TENANT, None)

        for place in range(len(text) - 1):
            swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
            assert swapped == text or key_text.parse(swapped) is None
            assert key_text.parse(text[:place] + text[place + 1 :]) is None
            assert key_text.parse(text[: place + 1] + text[place:]) is None
        assert key_text.parse(text[:-1]) is None
        assert key_text.parse(text + "A") is None
        assert key_text.parse(text.upper()) is None

    def test_the_hint_is_the_end(self) -> None:
        text = key_text.make(TENANT, AGENT)

        assert text.endswith(key_text.hint_of(text))
        assert len(key_text.hint_of(text)) == 6

    def test_the_random_part_is_told_as_a_hash(self) -> None:
        parsed = key_text.parse(key_text.make(TENANT, AGENT))

        assert parsed is not None
        assert parsed.random not in parsed.random_hash
        assert len(parsed.random_hash) == 16


class TestOldForm:
    def test_keys_of_the_old_form_are_understood(self) -> None:
        parsed = key_text.parse("mmc_dGVuYW50X3h5ejc4OV9hZ2VudF9wcXIzNDVfOGY4YTliMmMzZF92MQ==")

        assert parsed is not None
        assert parsed.tenant_id == "tenant_xyz789"
        assert parsed.agent_id == "agent_pqr345"
        assert parsed.random == "8f8a9b2c3d"
        assert parsed.version == "v1"

    @pytest.mark.parametrize(
        ("said", "owner"),
        [
            ("tenant_a_b_agent_c_d_x_v1", ("tenant_a_b", "agent_c_d")),
            ("acme_bot_x_v1", ("acme", "bot")),
            ("tenant_a__x_v1", ("tenant_a", None)),
        ],
    )
    def test_ids_are_opaque_and_may_have_underscores(
        self, said: str, owner: tuple[str, str | None]
    ) -> None:
        parsed = key_text.parse(old_form(said))

        assert parsed is not None
        assert (parsed.tenant_id, parsed.agent_id) == owner

    def test_padding_and_alphabet_do_not_matter(self) -> None:
        text = old_form("tenant_a_agent_b??>_x_v1")

        assert "/" in text or "+" in text
        safe = text.replace("+", "-").replace("/", "_").rstrip("=")
        assert key_text.parse(text) == key_text.parse(safe)

    @pytest.mark.parametrize(
        "said",
        ["", "x", "v1", "_v1", "a_v1", "a_b_v1", "tenant_a_agent_b_x", "a_b_c_d_x_v1", "a_b_x_vv1"],
    )
    def test_what_has_not_the_parts_is_no_key(self, said: str) -> None:
        assert key_text.parse(old_form(said)) is None

    def test_a_version_that_is_not_the_old_one_needs_its_checksum(self) -> None:
        assert key_text.parse(old_form("tenant_a_agent_b_x_v2")) is None
        assert key_text.parse(old_form("tenant_a_agent_b_x_v2.00000000")) is None
        assert key_text.parse(old_form("tenant_a_agent_b_x_v1.00000000")) is None


@given(st.text(max_size=300))
def test_no_text_at_all_breaks_it(text: str) -> None:
    key_text.parse(text)
    key_text.parse("mmc_" + text)


def test_a_very_long_text_is_no_key() -> None:
    assert key_text.parse("mmc_" + "A" * 100_000) is None
