"""Sealing and opening secrets."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longhouse.kit.crypto import Context, Keyring, KeyUnknown, MasterKey, SealBroken, key_id_of
from longhouse.kit.keys import FixedKeys

OLD, NEW = "the old key of these tests, long enough", "the new key of these tests, long enough"
HERE = Context(owner="tenant_a", purpose="provider", name="openai")

texts = st.text(max_size=20)
contexts = st.builds(Context, owner=texts, purpose=texts, name=texts)


@pytest.fixture
def ring() -> Keyring:
    return Keyring(FixedKeys(OLD))


@given(st.binary(max_size=500), contexts)
def test_what_is_sealed_opens_in_its_context(value: bytes, context: Context) -> None:
    ring = Keyring(FixedKeys(OLD))

    assert ring.open(ring.seal(value, context), context) == value


@given(contexts, contexts)
def test_it_opens_in_no_other_context(here: Context, there: Context) -> None:
    ring = Keyring(FixedKeys(OLD))
    sealed = ring.seal(b"value", here)

    if here != there:
        with pytest.raises(SealBroken):
            ring.open(sealed, there)


@pytest.mark.parametrize("field", ["owner", "purpose", "name"])
def test_moved_to_another_tenant_purpose_or_row_it_does_not_open(ring: Keyring, field: str) -> None:
    sealed = ring.seal(b"value", HERE)

    with pytest.raises(SealBroken):
        ring.open(sealed, replace(HERE, **{field: "another"}))


def test_the_value_does_not_show_and_the_same_value_looks_different_each_time(
    ring: Keyring,
) -> None:
    one, other = (ring.seal(b"a value that is looked for", HERE) for _ in range(2))

    assert b"value" not in one
    assert one != other


def test_any_changed_bit_is_noticed(ring: Keyring) -> None:
    sealed = ring.seal(b"value", HERE)

    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises((SealBroken, KeyUnknown)):
            ring.open(bytes(changed), HERE)


@pytest.mark.parametrize("sealed", [b"", b"\x01", bytes(200)])
def test_what_was_never_sealed_is_refused(ring: Keyring, sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        ring.open(sealed, HERE)


def test_another_key_says_which_one_is_missing(ring: Keyring) -> None:
    sealed = ring.seal(b"value", HERE)

    with pytest.raises(KeyUnknown, match=MasterKey(OLD).id):
        Keyring(FixedKeys(NEW)).open(sealed, HERE)


class TestRotation:
    def test_two_keys_open_and_the_first_one_seals(self, ring: Keyring) -> None:
        both = Keyring(FixedKeys(NEW, OLD))

        assert both.open(ring.seal(b"value", HERE), HERE) == b"value"
        assert key_id_of(both.seal(b"value", HERE)) == MasterKey(NEW).id
        assert both.ids == (MasterKey(NEW).id, MasterKey(OLD).id)

    def test_a_rewrapped_value_needs_the_new_key_only(self, ring: Keyring) -> None:
        both = Keyring(FixedKeys(NEW, OLD))

        moved = both.rewrap(ring.seal(b"value", HERE), HERE)

        assert key_id_of(moved) == MasterKey(NEW).id
        assert Keyring(FixedKeys(NEW)).open(moved, HERE) == b"value"
        with pytest.raises(KeyUnknown):
            ring.open(moved, HERE)

    def test_a_rewrapped_value_stays_bound_to_its_context(self, ring: Keyring) -> None:
        both = Keyring(FixedKeys(NEW, OLD))
        moved = both.rewrap(ring.seal(b"value", HERE), HERE)

        with pytest.raises(SealBroken):
            both.open(moved, replace(HERE, owner="tenant_b"))

    def test_a_damaged_value_is_not_rewrapped(self, ring: Keyring) -> None:
        damaged = bytearray(ring.seal(b"value", HERE))
        damaged[20] ^= 1

        with pytest.raises(SealBroken):
            ring.rewrap(bytes(damaged), HERE)


def test_a_keys_name_tells_nothing_of_the_key() -> None:
    assert MasterKey(OLD).id != MasterKey(NEW).id
    assert len(MasterKey(OLD).id) == 8
