"""The library: versions, labels, rollback, what a deleted prompt leaves."""

import hashlib
from typing import Any

import pytest

from gateway.domain.management import etag_of
from gateway.domain.prompts import SHARED, PromptMessage
from gateway.errors import Conflict, NotFound, PreconditionFailed, StoreUnavailable
from gateway.prompts.library import TRIES, VERSIONS_AT_ONCE, Library
from gateway.prompts.library_labels import MAX_LABELS, MAX_MOVES
from gateway.prompts.rows import hash_of, text_of
from tests.unit.prompts.written import Shelf, draft, text


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


async def labels(library: Library, name: str = "support", tenant: str = "contoso") -> dict[str, int]:
    head = await library.head(tenant, name)
    assert head is not None
    return dict(head.prompt.labels)


async def test_versions_count_from_one_and_stay_as_they_were_made(shelf: Shelf) -> None:
    first = await shelf.library.create("contoso", "support", draft("One", note="begin", examples=({"a": 1},)), author="key")
    shelf.clock.advance(60)
    second = await shelf.library.create("contoso", "support", draft("Two"), author="other")
    assert [made.version.version for made in (first, second)] == [1, 2]
    assert [await shelf.library.version("contoso", "support", number) for number in (1, 2)] == [first.version, second.version]
    assert (first.version.author, first.version.note, first.version.examples) == ("key", "begin", ({"a": 1},))
    assert second.version.at is not None
    assert first.version.at is not None
    assert (second.version.at - first.version.at).total_seconds() == 60
    for number in (0, 3, -1, 10**9):
        assert await shelf.library.version("contoso", "support", number) is None


async def test_a_version_and_the_head_that_counts_it_are_one_transaction(shelf: Shelf) -> None:
    await shelf.published("support", "One", "Two")
    assert shelf.tables.transactions == [("contoso", 2), ("contoso", 2)]


async def test_what_says_the_same_as_the_latest_version_is_that_version(shelf: Shelf) -> None:
    one = await shelf.library.create("contoso", "support", draft("One", note="first"))
    again = await shelf.library.create("contoso", "support", draft("One", note="another note"))
    assert (again.version, again.new, again.etag) == (one.version, False, one.etag)
    await shelf.library.create("contoso", "support", draft("Two"))
    back = await shelf.library.create("contoso", "support", draft("One"))
    assert (back.version.version, back.new, back.version.hash) == (3, True, one.version.hash)


@pytest.mark.parametrize("over", [{"description": "x"}, {"examples": ({"company": "x"},)}, {"parameters": {"temperature": 0.5}}], ids=str)
async def test_what_is_said_about_a_version_is_part_of_it(shelf: Shelf, over: dict[str, Any]) -> None:
    await shelf.library.create("contoso", "support", draft())
    made = await shelf.library.create("contoso", "support", draft(**over))
    assert (made.version.version, made.new) == (2, True)


def test_the_hash_covers_what_is_said_and_nothing_else() -> None:
    said = b'{"model":"gpt-4o","messages":[{"role":"system","content":"One"}]}'
    assert hash_of(text("One")) == hashlib.sha256(said).hexdigest()
    assert hash_of(text("One")) != hash_of(text("Two"))
    assert hash_of(text("One", parameters={})) == hash_of(text("One"))
    ordered = [{"properties": {name: {} for name in names}} for names in ("ab", "ba")]
    assert hash_of(text(output_schema=ordered[0])) != hash_of(text(output_schema=ordered[1]))


async def test_a_version_of_several_properties_reads_back_the_same(shelf: Shelf) -> None:
    long = "äöü 😀 " * 20_000
    made = await shelf.library.create("contoso", "support", draft(long))
    assert await shelf.library.version("contoso", "support", 1) == made.version
    (row,) = [each for each in shelf.tables.rows("prompts") if each.row.startswith("version|")]
    assert len(row.values) > 5


async def test_an_etag_says_which_prompt_a_version_is_made_of(shelf: Shelf) -> None:
    with pytest.raises(PreconditionFailed, match="no prompt 'support' yet"):
        await shelf.library.create("contoso", "support", draft("One"), if_match="*")
    one = await shelf.library.create("contoso", "support", draft("One"))
    two = await shelf.library.create("contoso", "support", draft("Two"), if_match=one.etag)
    assert two.version.version == 2
    with pytest.raises(PreconditionFailed):
        await shelf.library.create("contoso", "support", draft("Three"), if_match=one.etag)
    with pytest.raises(PreconditionFailed):
        await shelf.library.set_label("contoso", "support", "production", 1, if_match=one.etag)
    moved = await shelf.library.set_label("contoso", "support", "production", 1, if_match=two.etag)
    assert moved.etag not in (one.etag, two.etag)
    assert moved.etag == etag_of(moved.stored)


async def test_labels_are_moved_and_never_point_to_a_version_that_is_not_there(shelf: Shelf) -> None:
    await shelf.published("support", "One", "Two")
    await shelf.library.set_label("contoso", "support", "production", 1)
    await shelf.library.set_label("contoso", "support", "staging", 2)
    assert await labels(shelf.library) == {"production": 1, "staging": 2}
    for number in (0, 3):
        with pytest.raises(NotFound, match="it has 1 to 2") as caught:
            await shelf.library.set_label("contoso", "support", "production", number)
        assert (caught.value.code, caught.value.param) == ("prompt_version_not_found", "version")
    with pytest.raises(NotFound) as missing:
        await shelf.library.set_label("contoso", "nobody", "production", 1)
    assert missing.value.code == "prompt_not_found"
    await shelf.library.delete_label("contoso", "support", "staging")
    assert await labels(shelf.library) == {"production": 1}
    with pytest.raises(NotFound, match="it has production"):
        await shelf.library.delete_label("contoso", "support", "staging")


async def test_a_label_goes_back_the_way_it_came(shelf: Shelf) -> None:
    library = shelf.library
    await shelf.published("support", "One", "Two", "Three")
    for number in (1, 2):
        await library.set_label("contoso", "support", "production", number)
    for expected in (1, 3):
        head = await library.roll_back("contoso", "support", "production", by="ann")
        assert head.prompt.labels == {"production": expected}
        assert head.prompt.moves["production"][-1].by == "ann"
    with pytest.raises(Conflict, match="remembers no place before") as caught:
        await library.roll_back("contoso", "support", "production")
    assert caught.value.code == "nothing_to_roll_back"
    with pytest.raises(NotFound):
        await library.roll_back("contoso", "support", "staging")


async def test_putting_a_label_where_it_is_changes_nothing(shelf: Shelf) -> None:
    await shelf.published("support", "One", "Two")
    before = await shelf.library.head("contoso", "support")
    after = await shelf.library.set_label("contoso", "support", "production", 2)
    assert before is not None
    assert (after.stored, len(after.prompt.moves["production"])) == (before.stored, 1)


async def test_a_label_remembers_so_many_moves_and_a_prompt_has_so_many_labels(shelf: Shelf) -> None:
    await shelf.published("support", "One", "Two")
    for index in range(3 * MAX_MOVES):
        head = await shelf.library.set_label("contoso", "support", "production", 1 + index % 2)
    assert len(head.prompt.moves["production"]) == MAX_MOVES
    for index in range(MAX_LABELS - 1):
        await shelf.library.set_label("contoso", "support", f"label-{index}", 1)
    with pytest.raises(Conflict, match="delete one of them"):
        await shelf.library.set_label("contoso", "support", "one-more", 1)
    await shelf.library.set_label("contoso", "support", "label-0", 2)


async def test_a_deleted_prompt_leaves_its_versions_and_its_numbers(shelf: Shelf) -> None:
    library = shelf.library
    await shelf.published("support", "One", "Two")
    with pytest.raises(Conflict, match=r"has labels \(production\)") as caught:
        await library.delete("contoso", "support")
    assert caught.value.code == "in_use"
    await library.delete_label("contoso", "support", "production")
    await library.delete("contoso", "support")
    assert await library.list("contoso", 10) == ([], None)
    assert [each.name for each in (await library.list("contoso", 10, retired=True))[0]] == ["support"]
    version = await library.version("contoso", "support", 1)
    assert version is not None
    assert version.messages == (PromptMessage(role="system", content="One"),)
    for act in (library.delete("contoso", "support"), library.set_label("contoso", "support", "production", 1)):
        with pytest.raises(NotFound):
            await act
    again = await library.create("contoso", "support", draft("Two"))
    assert (again.version.version, again.new) == (3, True)
    assert [each.name for each in (await library.list("contoso", 10))[0]] == ["support"]


async def test_lists_go_page_by_page_and_show_their_own_only(shelf: Shelf) -> None:
    for name in ("a", "ab", "a.b", "b"):
        await shelf.published(name, "One", "Two")
    await shelf.published("other", tenant="fabrikam")
    await shelf.published("shared", tenant=SHARED)
    found, after = await shelf.library.list("contoso", 3)
    more, end = await shelf.library.list("contoso", 3, after)
    assert ([each.name for each in (*found, *more)], end) == (sorted(["a", "ab", "a.b", "b"]), None)
    assert [each.name for each in (await shelf.library.list(SHARED, 9))[0]] == ["shared"]
    for name in ("a", "a.b"):
        versions, _ = await shelf.library.versions("contoso", name, 9)
        assert [(each.name, each.version) for each in versions] == [(name, 1), (name, 2)]


async def test_versions_are_listed_so_many_at_once(shelf: Shelf) -> None:
    for index in range(VERSIONS_AT_ONCE + 2):
        await shelf.library.create("contoso", "support", draft(f"{index}"))
    first, after = await shelf.library.versions("contoso", "support", 1000)
    rest, end = await shelf.library.versions("contoso", "support", 1000, after)
    assert [each.version for each in (*first, *rest)] == [*range(1, VERSIONS_AT_ONCE + 3)]
    assert (len(first), end) == (VERSIONS_AT_ONCE, None)


async def test_tenants_have_prompts_of_their_own_under_one_name(shelf: Shelf) -> None:
    for tenant in ("contoso", "fabrikam", SHARED):
        made = await shelf.library.create(tenant, "support", draft(f"of {tenant}"))
        assert made.version.version == 1
    await shelf.library.set_label("contoso", "support", "production", 1)
    assert [await labels(shelf.library, tenant=each) for each in ("contoso", "fabrikam", SHARED)] == [{"production": 1}, {}, {}]
    found = await shelf.library.version("fabrikam", "support", 1)
    assert found is not None
    assert (found.tenant, text_of(found)) == ("fabrikam", text("of fabrikam"))


async def test_who_is_always_late_is_told_so(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    await shelf.published()
    seen = await shelf.tables.get("prompts", "contoso", "head|support")
    assert seen is not None
    await shelf.library.set_label("contoso", "support", "staging", 1)  # so that what was seen is old
    asked = 0

    async def old(*_: str) -> Any:
        nonlocal asked
        asked += 1
        return seen

    monkeypatch.setattr(shelf.tables, "get", old)
    with pytest.raises(Conflict, match="changed by somebody else"):
        await shelf.library.set_label("contoso", "support", "canary", 1)
    assert asked == TRIES
    assert len(shelf.clock.slept_s) == TRIES - 1  # so that others can be done in between


async def test_a_store_that_is_down_is_told_of(shelf: Shelf) -> None:
    await shelf.published()
    shelf.tables.down = True
    for act in (shelf.library.head("contoso", "support"), shelf.library.create("contoso", "support", draft())):
        with pytest.raises(StoreUnavailable):
            await act
