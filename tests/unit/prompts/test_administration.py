"""What administrators do with prompts, and whose."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.domain.management import Asked, Told
from gateway.domain.prompts import SHARED
from gateway.errors import Conflict, GatewayError, NotFound, PermissionDenied, PreconditionFailed, RequestError
from gateway.prompts.administration import PromptAdministration
from gateway.prompts.documents import Documents
from gateway.prompts.memory import PromptMemory
from tests.unit.prompts.written import TEMPLATES, Shelf, asked, document

TENANTS = ("contoso", "fabrikam")


class World(Shelf):
    def __init__(self) -> None:
        super().__init__()
        self.memory = PromptMemory(self.library, self.clock)
        documents = Documents(self.library, TEMPLATES, lambda _tenant, _name: None)
        self.prompts = PromptAdministration(self.library, self.memory, documents, self._find_tenant)

    async def _find_tenant(self, tenant: str) -> str | None:
        return tenant if tenant in TENANTS else None

    async def make(self, *contents: str, name: str = "support", tenant: str = "contoso", label: str = "production") -> None:
        """Make shared versions, or a tenant's by its own administrator."""
        for content in contents:
            made = await self.prompts.create(asked(document(content), tenant=tenant), name)
        await self.prompts.set_label(asked({"version": made.value["version"]}, tenant=tenant), name, label)


@pytest.fixture
def world() -> World:
    return World()


async def test_the_first_version_makes_the_prompt_and_the_next_ones_count_on(world: World) -> None:
    first = await world.prompts.create(asked(document("One", note="begin"), tenant="contoso"), "support")
    again = await world.prompts.create(asked(document("One"), tenant="contoso"), "support")
    second = await world.prompts.create(asked(document("Two"), tenant="contoso", if_match=first.etag), "support")
    assert [(each.value["version"], each.status) for each in (first, again, second)] == [(1, 201), (1, 200), (2, 201)]
    assert (first.value["note"], first.value["author"], first.value["tenant"], first.value["labels"]) == (
        "begin",
        "admin-of-contoso",
        "contoso",
        [],
    )
    assert list(first.value["messages"]) == [{"role": "system", "content": "One"}]
    with pytest.raises(PreconditionFailed):
        await world.prompts.create(asked(document("Three"), tenant="contoso", if_match=first.etag), "support")


async def test_a_prompt_is_shown_with_its_labels_and_where_they_were(world: World) -> None:
    await world.make("One", "Two")
    await world.prompts.set_label(asked({"version": 1}, tenant="contoso"), "support", "production")
    shown = await world.prompts.read(asked(tenant="contoso"), "support")
    assert (shown.value["latest"], shown.value["labels"], shown.value["state"]) == (2, {"production": 1}, "active")
    assert [move["version"] for move in shown.value["moves"]["production"]] == [2, 1]
    labels = await world.prompts.labels(asked(tenant="contoso"), "support")
    assert [(each["label"], each["version"]) for each in labels.value["data"]] == [("production", 1)]
    assert labels.etag == shown.etag != ""
    versions = (await world.prompts.versions(asked(tenant="contoso"), "support")).value["data"]
    assert [(each["version"], each["labels"]) for each in versions] == [(1, ["production"]), (2, [])]
    assert "messages" not in versions[0]
    found = [(await world.prompts.version(asked(tenant="contoso"), "support", each)).value for each in ("1", "production", "latest")]
    assert [(each["version"], each["labels"]) for each in found] == [(1, ["production"]), (1, ["production"]), (2, [])]


async def test_a_move_and_its_rollback_reach_the_next_call(world: World) -> None:
    await world.make("One", "Two")
    for act, expected in (
        (world.prompts.set_label(asked({"version": 1}, tenant="contoso"), "support", "production"), 1),
        (world.prompts.roll_back(asked(tenant="contoso"), "support", "production"), 2),
    ):
        before = (await world.memory.resolve("contoso", "support")).version
        told = await act
        assert (told.value["version"], told.before["labels"]) == (expected, {"production": before})
        assert (await world.memory.resolve("contoso", "support")).version == expected


async def test_a_new_version_can_be_called_by_its_number_at_once(world: World) -> None:
    await world.make("One")
    with pytest.raises(NotFound):
        await world.memory.resolve("contoso", "support", 2)
    await world.prompts.create(asked(document("Two"), tenant="contoso"), "support")
    assert (await world.memory.resolve("contoso", "support", 2)).version == 2


async def test_a_label_is_moved_under_the_etag_that_was_read(world: World) -> None:
    await world.make("One", "Two")
    read = await world.prompts.read(asked(tenant="contoso"), "support")
    body = {"version": 1}
    await world.prompts.set_label(asked(body, tenant="contoso", if_match=read.etag), "support", "staging")
    late: list[Callable[[Asked], Awaitable[Told]]] = [
        lambda late: world.prompts.set_label(late, "support", "production"),
        lambda late: world.prompts.delete_label(late, "support", "staging"),
        lambda late: world.prompts.roll_back(late, "support", "staging"),
        lambda late: world.prompts.delete(late, "support"),
    ]
    for act in late:
        with pytest.raises(PreconditionFailed):
            await act(asked(body, tenant="contoso", if_match=read.etag))


async def test_a_prompt_with_labels_is_not_deleted_and_a_deleted_one_is_still_read(world: World) -> None:
    await world.make("One")
    with pytest.raises(Conflict):
        await world.prompts.delete(asked(tenant="contoso"), "support")
    assert (await world.prompts.delete_label(asked(tenant="contoso"), "support", "production")).status == 204
    gone = await world.prompts.delete(asked(tenant="contoso"), "support")
    assert (gone.status, gone.before["name"]) == (204, "support")
    assert (await world.prompts.read(asked(tenant="contoso"), "support")).value["state"] == "retired"
    assert (await world.prompts.version(asked(tenant="contoso"), "support", "1")).value["messages"][0]["content"] == "One"
    assert (await world.prompts.list(asked(tenant="contoso")))["data"] == []
    retired = await world.prompts.list(asked(tenant="contoso", query={"state": "retired"}))
    assert [each["name"] for each in retired["data"]] == ["support"]
    with pytest.raises(NotFound):
        await world.memory.resolve("contoso", "support", 1)


async def test_differences_are_between_labels_or_numbers(world: World) -> None:
    await world.make("One", "Two")
    await world.prompts.set_label(asked({"version": 1}, tenant="contoso"), "support", "production")
    for query in ({}, {"from": "1", "to": "2"}, {"from": "production", "to": "latest"}):
        found = await world.prompts.diff(asked(tenant="contoso", query=query), "support")
        assert (found["from"], found["to"]) == (1, 2)
        assert found["changes"] == [{"field": "messages[0].content", "before": "One", "after": "Two"}]
        assert "+  Two" in found["text"]
    for query, param in (({"from": "9"}, "from"), ({"to": "nobody"}, "to"), ({"to": "99999999999999999999"}, "to")):
        with pytest.raises(NotFound) as caught:
            await world.prompts.diff(asked(tenant="contoso", query=query), "support")
        assert (caught.value.param, caught.value.code) == (param, "prompt_version_not_found")


async def test_the_gateways_administrator_means_shared_prompts_or_a_named_tenants(world: World) -> None:
    for query in ({}, {"tenant": "contoso"}):
        await world.prompts.create(asked(document(f"of {query}"), query=query), "support")
        assert (await world.prompts.read(asked(query=query), "support")).value["tenant"] == query.get("tenant", SHARED)
        assert [each["name"] for each in (await world.prompts.list(asked(query=query)))["data"]] == ["support"]
    assert (await world.prompts.list(asked(query={"tenant": "fabrikam"})))["data"] == []
    with pytest.raises(NotFound):  # not the shared one: it was asked for a tenant's
        await world.prompts.read(asked(query={"tenant": "fabrikam"}), "support")


@pytest.mark.parametrize(("tenant", "error"), [("nobody", NotFound), ("a/b", RequestError), ("~", RequestError)])
async def test_a_prompt_is_not_made_for_a_tenant_that_is_not_there(world: World, tenant: str, error: type[GatewayError]) -> None:
    with pytest.raises(error) as caught:
        await world.prompts.create(asked(document(), query={"tenant": tenant}), "support")
    assert caught.value.param == "tenant"
    assert world.tables.data == {}


async def test_a_tenants_administrator_reads_shared_prompts_and_changes_none(world: World) -> None:
    await world.prompts.create(asked(document("shared")), "support")
    await world.prompts.set_label(asked({"version": 1}), "support", "production")
    before = dict(world.tables.data)
    assert (await world.prompts.read(asked(tenant="contoso"), "support")).value["shared"]
    assert (await world.prompts.list(asked(tenant="contoso")))["data"] == []
    shown = await world.prompts.list(asked(tenant="contoso", query={"shared": "true"}))
    assert [each["name"] for each in shown["data"]] == ["support"]
    for query in ({"shared": "true"}, {}):
        who = asked({"version": 1}, tenant="contoso", query=query)
        for act in (
            world.prompts.set_label(who, "support", "staging"),
            world.prompts.roll_back(who, "support", "production"),
            world.prompts.delete_label(who, "support", "production"),
            world.prompts.delete(who, "support"),
        ):
            with pytest.raises(PermissionDenied if query else NotFound):
                await act
    with pytest.raises(PermissionDenied):
        await world.prompts.create(asked(document(), tenant="contoso", query={"shared": "true"}), "support")
    assert world.tables.data == before
    await world.make("own")
    assert not (await world.prompts.read(asked(tenant="contoso"), "support")).value["shared"]
    assert (await world.prompts.read(asked(tenant="contoso", query={"shared": "true"}), "support")).value["shared"]


async def test_nobody_reaches_another_tenants_prompts(world: World) -> None:
    await world.make("secret of contoso")
    before = dict(world.tables.data)
    for query, error in (({}, NotFound), ({"tenant": "contoso"}, PermissionDenied)):
        who = asked({"version": 1}, tenant="fabrikam", query=query)
        for act in (
            world.prompts.read(who, "support"),
            world.prompts.versions(who, "support"),
            world.prompts.version(who, "support", "1"),
            world.prompts.labels(who, "support"),
            world.prompts.diff(who, "support"),
            world.prompts.set_label(who, "support", "production"),
            world.prompts.delete_label(who, "support", "production"),
            world.prompts.roll_back(who, "support", "production"),
            world.prompts.delete(who, "support"),
        ):
            with pytest.raises(error) as caught:
                await act
            assert "secret" not in caught.value.message
    assert (await world.prompts.list(asked(tenant="fabrikam")))["data"] == []
    with pytest.raises(PermissionDenied):
        await world.prompts.list(asked(tenant="fabrikam", query={"tenant": "contoso"}))
    with pytest.raises(PermissionDenied):
        await world.prompts.create(asked(document(), tenant="fabrikam", query={"tenant": "contoso"}), "support")
    assert world.tables.data == before
    await world.make("of fabrikam", tenant="fabrikam")
    assert (await world.prompts.version(asked(tenant="contoso"), "support", "1")).value["messages"][0]["content"] == "secret of contoso"


@pytest.mark.parametrize(
    ("query", "param"),
    [({"limit": "0"}, "limit"), ({"after": "x"}, "after"), ({"state": "x"}, "state"), ({"shared": "yes"}, "shared")],
    ids=str,
)
async def test_what_cannot_be_listed_is_named(world: World, query: dict[str, str], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await world.prompts.list(asked(tenant="contoso", query=query))
    assert caught.value.param == param


@pytest.mark.parametrize("name", ["", "a/b", "x" * 65, "a#"], ids=ascii)
async def test_what_cannot_be_a_prompt_is_not_there(world: World, name: str) -> None:
    who: Any = asked({"version": 1}, tenant="contoso")
    with pytest.raises(NotFound):
        await world.prompts.read(who, name)
    for act in (world.prompts.delete(who, name), world.prompts.set_label(who, name, "x"), world.prompts.create(who, name)):
        with pytest.raises(RequestError) as caught:
            await act
        assert caught.value.param == "name"
