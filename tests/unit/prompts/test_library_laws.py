"""However writers come in each other's way: numbers without gaps, nothing overwritten, labels on versions that are there."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.prompts import PromptVersion
from gateway.domain.tables import Entity
from gateway.errors import Conflict, NotFound, PreconditionFailed
from gateway.prompts.library import Library, Made
from gateway.prompts.rows import head_of, version_of
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.unit.prompts.written import draft

TENANTS = ("contoso", "fabrikam")
NAMES = ("support", "support.v")  # one begins as the other does

type Step = tuple[str, str, str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("create", "create", "label", "unlabel", "back", "delete")),
        st.sampled_from(TENANTS),
        st.sampled_from(NAMES),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=12,
)


class Interleaved(FakeTables):
    """Lets others go first, as often as it is told, before each of its calls."""

    def __init__(self, pauses: Iterator[int]) -> None:
        super().__init__()
        self._pauses = pauses
        self.written: dict[tuple[str, str], Entity] = {}

    async def _arrive(self) -> None:
        for _ in range(next(self._pauses, 0)):
            await asyncio.sleep(0)
        await super()._arrive()
        self._look()

    def _look(self) -> None:
        """Hold the laws at every moment at which somebody could look."""
        found = {(each.partition, each.row): each for each in self.rows("prompts")}
        versions = {key: each for key, each in found.items() if key[1].startswith("version|")}
        assert {key: versions.get(key) for key in self.written} == self.written, "a version was changed or lost"
        self.written = versions
        counted: set[tuple[str, str]] = set()
        for (tenant, row), entity in found.items():
            if row.startswith("head|"):
                head = head_of(entity)
                counted |= {(tenant, f"version|{head.name}|{number:08}") for number in range(1, head.latest + 1)}
                placed = [*head.labels.values(), *(move.version for moves in head.moves.values() for move in moves)]
                assert all(1 <= each <= head.latest for each in placed), "a label is on a version that is not there"
                assert head.labels.keys() == head.moves.keys()
        assert counted == versions.keys(), "heads and versions do not agree"


@given(STEPS, st.lists(st.integers(0, 3), max_size=200))
def test_whatever_comes_between_the_laws_hold(steps: list[Step], pauses: list[int]) -> None:
    async def run() -> None:
        tables = Interleaved(iter(pauses))
        library = Library(tables, FakeClock())
        made = await asyncio.gather(
            *(attempt(lambda index=index, step=step: act(library, index, step)) for index, step in enumerate(steps))
        )
        tables._look()
        new = [each.version for each in made if isinstance(each, Made) and each.new]
        stored = [version_of(each) for each in tables.rows("prompts") if each.row.startswith("version|")]
        assert sorted(new, key=place) == sorted(stored, key=place)

    asyncio.run(run())


@given(st.integers(2, 7), st.lists(st.integers(0, 3), max_size=200))
def test_all_writers_at_once_make_a_version_each(writers: int, pauses: list[int]) -> None:
    async def run() -> None:
        library = Library(Interleaved(iter(pauses)), FakeClock())
        made = await asyncio.gather(*(library.create("contoso", "support", draft(f"{index}")) for index in range(writers)))
        assert sorted(each.version.version for each in made) == [*range(1, writers + 1)]

    asyncio.run(run())


@given(st.integers(2, 6), st.lists(st.integers(0, 3), max_size=100))
def test_of_those_who_send_one_etag_one_alone_succeeds(writers: int, pauses: list[int]) -> None:
    async def run() -> None:
        tables = Interleaved(iter(()))
        library = Library(tables, FakeClock())
        first = await library.create("contoso", "support", draft("first"))
        tables._pauses = iter(pauses)
        tries = [attempt(lambda i=i: library.create("contoso", "support", draft(f"{i}"), if_match=first.etag)) for i in range(writers)]
        done = await asyncio.gather(*tries)
        assert [isinstance(each, Made) for each in done].count(True) == 1
        assert [isinstance(each, PreconditionFailed) for each in done].count(True) == writers - 1

    asyncio.run(run())


def place(version: PromptVersion) -> tuple[str, str, int]:
    return version.tenant, version.name, version.version


async def attempt(make: Callable[[], Awaitable[object]]) -> object:
    try:
        return await make()
    except (Conflict, NotFound, PreconditionFailed) as exc:
        return exc


async def act(library: Library, index: int, step: Step) -> object:
    kind, tenant, name, number = step
    if kind == "create":
        return await library.create(tenant, name, draft(f"{index}"))
    if kind == "label":
        return await library.set_label(tenant, name, "production", number)
    if kind == "unlabel":
        return await library.delete_label(tenant, name, "production")
    if kind == "back":
        return await library.roll_back(tenant, name, "production")
    return await library.delete(tenant, name)


@given(st.integers(1, 3), st.integers(1, 4), st.lists(st.integers(0, 3), max_size=200))
def test_no_label_is_lost_to_a_version_that_is_made_meanwhile(versions: int, labels: int, pauses: list[int]) -> None:
    async def run() -> None:
        tables = Interleaved(iter(()))
        library = Library(tables, FakeClock())
        await library.create("contoso", "support", draft("first"))
        tables._pauses = iter(pauses)
        made = [library.create("contoso", "support", draft(f"{index}")) for index in range(versions)]
        await asyncio.gather(*made, *(library.set_label("contoso", "support", f"label-{index}", 1) for index in range(labels)))
        head = await library.head("contoso", "support")
        assert head is not None
        assert (head.prompt.latest, head.prompt.labels) == (versions + 1, {f"label-{index}": 1 for index in range(labels)})

    asyncio.run(run())


async def test_two_rollbacks_at_once_go_back_one_step() -> None:
    tables = Interleaved(iter(()))
    library = Library(tables, FakeClock())
    for number in (1, 2, 3):
        await library.create("contoso", "support", draft(f"{number}"))
        await library.set_label("contoso", "support", "production", number)
    tables._pauses = iter([1] * 10)
    done = await asyncio.gather(*(attempt(lambda: library.roll_back("contoso", "support", "production")) for _ in range(2)))
    assert [isinstance(each, Conflict) for each in done] == [False, True]
    head = await library.head("contoso", "support")
    assert head is not None
    assert head.prompt.labels == {"production": 2}
