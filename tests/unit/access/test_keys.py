import pytest

from gateway.access import keys

PEPPER = b"pepper-pepper-pepper"


def test_a_minted_key_reads_back() -> None:
    minted = keys.mint()
    assert keys.parse(minted.text) == minted
    assert minted.text.startswith(f"gwk_{minted.id}_")


def test_no_two_keys_are_alike() -> None:
    minted = [keys.mint() for _ in range(200)]
    assert len({key.id for key in minted}) == len({key.text for key in minted}) == 200


ID, SECRET = "a" * 16, "b" * 43


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gwk_",
        "sk-" + "a" * 60,
        f"gwk_{ID.upper()}_{SECRET}",
        f"gwk_{ID}_{SECRET[1:]}",
        f"gwk_{ID}_{SECRET}\n",
        f" gwk_{ID}_{SECRET}",
        f"gwk_{ID}_{'é' * 43}",
    ],
)
def test_what_cannot_be_a_key_is_none(text: str) -> None:
    assert keys.parse(text) is None


def test_a_hash_matches_its_key_and_pepper_only() -> None:
    key, other = keys.mint(), keys.mint()
    stored = keys.hash_key(PEPPER, key)
    assert keys.matches(PEPPER, key, stored)
    assert not keys.matches(PEPPER, other, stored)
    assert not keys.matches(b"another pepper", key, stored)
    assert not keys.matches(PEPPER, key, "")


def test_neither_a_hash_nor_a_repr_shows_the_secret() -> None:
    key = keys.mint()
    secret = key.text.rsplit("_", 1)[1]
    assert secret not in repr(key)
    assert secret not in keys.hash_key(PEPPER, key)
