"""Which guardrails hold for a call: the product's and the tenant's, where they hold, in their order; put together once."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from gateway.domain.access import Principal
from gateway.domain.catalog import Catalog
from gateway.domain.deployment import Protocol
from gateway.domain.guardrails import Action, Fail, Guardrail, Pii, Secrets, Size, SystemText, Terms
from gateway.domain.labels import Labels, read_labels
from gateway.domain.request import Request
from gateway.errors import GuardrailBlocked, GuardrailUnavailable
from gateway.guarding import REMEMBERED_CHAINS, Guardian
from gateway.guardrails.build import Workshop, build_guard
from gateway.guardrails.kinds import Guard
from gateway.guardrails.masking.vault import Vault
from gateway.guardrails.services.remembered import Remembered
from gateway.metering.draft import Draft
from tests.builders import make_backend, make_call, make_deployment, make_inbound, make_model, make_principal, make_product
from tests.fakes.clock import FakeClock
from tests.fakes.tables import FakeTables
from tests.fakes.upstream import FakeUpstream, Reply

CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "The falcon flies."}]}
FALCON = Terms(id="falcon", terms=("falcon",), action=Action.REDACT)


class Worker:
    """A Guardian, what it built, and the catalogue, which tests exchange."""

    def __init__(self, *guardrails: Guardrail, names: tuple[str, ...] = (), backends: Mapping[str, Any] | None = None) -> None:
        self.clock = FakeClock()
        self.upstream = FakeUpstream(self.clock)
        self.product = make_product(guardrails=names or tuple(each.id for each in guardrails))
        self.guardrails: dict[str, Guardrail] = {each.id: each for each in guardrails}
        self.backends = dict(backends or {})
        self.built: list[str] = []
        self.threads: set[int] = set()
        workshop = Workshop(None, self.upstream, self.backends, Remembered(self.clock))

        def build(config: Guardrail) -> Guard:
            self.built.append(config.id)
            self.threads.add(threading.get_ident())
            return build_guard(config, workshop)

        self.guardian = Guardian(build, Vault(FakeTables(), b"pepper-pepper-pepper", self.clock), self.clock)
        self.catalog()

    def catalog(self) -> None:
        """Read the catalogue anew."""
        model = make_model(make_deployment(), id="gpt-4o")
        self.known = Catalog((model,), (self.product,), guardrails=dict(self.guardrails), guard_backends=self.backends)

    async def ask(self, principal: Principal | None = None) -> tuple[Request, Draft]:
        principal = principal or make_principal()
        draft = self.draft = Draft(make_inbound(CHAT))
        model = self.known.find("gpt-4o")
        assert model is not None
        request = Request(make_call(CHAT), model, self.known, principal, read_labels({}, ""), 100.0)
        inspected, _ = await self.guardian.inspect(draft, request, self.product)
        return inspected, draft


def told(draft: Draft) -> list[str]:
    return [each.guard for each in draft.verdicts]


async def test_without_guardrails_a_call_is_the_very_same() -> None:
    worker = Worker()
    request, draft = await worker.ask()
    assert (draft.verdicts, draft.changes, request.labels_found) == ([], [], frozenset())
    assert await worker.guardian.inspect(draft, request, worker.product) == (request, None)


async def test_they_run_in_the_order_of_their_types_whatever_the_product_says() -> None:
    worker = Worker(Pii(id="p"), FALCON, Size(id="z", characters=100), Secrets(id="s"))
    _, draft = await worker.ask()
    assert told(draft) == ["z", "falcon", "s", "p"]


async def test_a_tenants_own_rules_hold_beside_the_products_and_for_it_alone() -> None:
    worker = Worker(Secrets(id="s"))
    _, own = await worker.ask(make_principal(tenant="contoso", rules=(FALCON,)))
    _, other = await worker.ask(make_principal(tenant="fabrikam"))
    assert (told(own), told(other)) == (["falcon", "s"], ["s"])


async def test_changed_rules_hold_from_the_next_call_on_and_equal_ones_are_not_built_again() -> None:
    worker = Worker()
    worker.product = make_product()
    await worker.ask(make_principal(rules=(FALCON,)))
    await worker.ask(make_principal(rules=(msgspec.structs.replace(FALCON),)))
    assert worker.built == ["falcon"]
    request, _ = await worker.ask(make_principal(rules=(msgspec.structs.replace(FALCON, terms=("flies",), replacement="[W]"),)))
    assert request.call.document["messages"][0]["content"] == "The falcon [W]."
    assert worker.built == ["falcon", "falcon"]


async def test_two_tenants_rules_of_one_name_are_two() -> None:
    worker = Worker()
    worker.product = make_product()
    other = Terms(id="falcon", terms=("flies",), action=Action.REDACT)
    for _ in range(2):
        first, _ = await worker.ask(make_principal(tenant="a", rules=(FALCON,)))
        second, _ = await worker.ask(make_principal(tenant="b", rules=(other,)))
        assert [each.call.document["messages"][0]["content"] for each in (first, second)] == [
            "The [REDACTED] flies.",
            "The falcon [REDACTED].",
        ]
    assert worker.built == ["falcon", "falcon"]


async def test_a_new_catalogue_holds_from_the_next_call_on_and_what_stayed_the_same_is_kept() -> None:
    worker = Worker(FALCON, Secrets(id="s"))
    await worker.ask()
    worker.guardrails["falcon"] = Terms(id="falcon", terms=("flies",), action=Action.BLOCK)
    worker.catalog()
    with pytest.raises(GuardrailBlocked):
        await worker.ask()
    assert worker.built == ["falcon", "s", "falcon"]


async def test_a_guardrail_that_is_gone_refuses_the_calls_of_its_product() -> None:
    worker = Worker(FALCON, names=("falcon", "gone"))
    with pytest.raises(GuardrailUnavailable, match="'gone'"):
        await worker.ask()
    worker.guardrails["gone"] = Secrets(id="gone")
    worker.catalog()
    assert told((await worker.ask())[1]) == ["falcon", "gone"]


@pytest.mark.parametrize(("tenant", "held"), [("contoso-eu", True), ("contoso", False), ("CONTOSO-eu", False), ("fabrikam", True)])
async def test_globs_say_for_which_tenants_a_guardrail_holds(tenant: str, held: bool) -> None:
    worker = Worker(msgspec.structs.replace(FALCON, tenants=("contoso-*", "fabrikam")))
    _, draft = await worker.ask(make_principal(tenant=tenant))
    assert told(draft) == ["falcon"] * held


async def test_a_tenants_data_zone_keeps_its_texts_from_a_service_elsewhere_from_the_moment_it_is_set() -> None:
    backend = make_backend(id="language", protocol=Protocol.AZURE_AI, data_zone="us")
    worker = Worker(Pii(id="p", language_backend="language", fail=Fail.OPEN), backends={"language": backend})
    worker.upstream.does = lambda _: Reply(status=500)
    asked = []
    for zone in ("us", "eu", "us", ""):
        await worker.ask(make_principal(data_zone=zone))
        asked.append((len(worker.upstream.requests), "data zone" in worker.draft.verdicts[0].reason))
    assert asked == [(1, False), (1, True), (2, False), (3, False)]


async def test_findings_give_labels_and_what_is_changed_is_said() -> None:
    worker = Worker(msgspec.structs.replace(FALCON, label="secret"), Terms(id="none", terms=("eagle",), label="other"))
    request, draft = await worker.ask()
    assert (request.labels_found, draft.changes) == (frozenset({"secret"}), ["guarded"])


async def test_the_verdicts_of_a_refused_call_are_noted() -> None:
    worker = Worker(Size(id="z", characters=3), SystemText(id="guide", text="Be kind."))
    with pytest.raises(GuardrailBlocked):
        await worker.ask()
    assert [(each.guard, each.outcome.value) for each in worker.draft.verdicts] == [("z", "blocked")]


async def test_the_operators_words_come_first_in_their_order() -> None:
    worker = Worker(SystemText(id="a", text="Be kind."), SystemText(id="b", text="Be brief."))
    request, draft = await worker.ask()
    assert [each["content"] for each in request.call.document["messages"]][:2] == ["Be kind.", "Be brief."]
    assert draft.changes == ["guarded"]


async def test_only_so_many_combinations_are_remembered() -> None:
    worker = Worker(FALCON)
    for number in range(REMEMBERED_CHAINS + 2):
        await worker.ask(make_principal(tenant=f"t{number}"))
    assert len(worker.guardian._chains) == REMEMBERED_CHAINS
    assert worker.built == ["falcon"]


async def test_only_so_many_rules_are_remembered_and_those_that_went_are_built_again() -> None:
    worker = Worker()
    worker.product = make_product()
    for number in range(REMEMBERED_CHAINS + 1):
        await worker.ask(make_principal(tenant=f"t{number}", rules=(FALCON,)))
    assert len(worker.guardian._built) == REMEMBERED_CHAINS
    assert ("t0", "falcon") not in worker.guardian._built


async def test_guardrails_are_put_together_in_threads_many_at_once() -> None:
    worker = Worker()
    worker.product = make_product()
    rules = [make_principal(tenant=f"t{number}", rules=(FALCON,)) for number in range(50)]
    asked = await asyncio.gather(*(worker.ask(each) for each in rules))
    assert {request.call.document["messages"][0]["content"] for request, _ in asked} == {"The [REDACTED] flies."}
    assert threading.get_ident() not in worker.threads


async def test_warming_builds_what_products_name_before_the_first_call() -> None:
    worker = Worker(Secrets(id="s"), FALCON, SystemText(id="guide", text="Be kind."))
    await worker.guardian.warm(worker.guardrails, ["s", "guide", "unknown"])
    assert worker.built == ["s", "guide"]
    await worker.ask()
    assert worker.built == ["s", "guide", "falcon"]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param({}, True, id="itself"),
        pytest.param({"user": "ben"}, False, id="another-user"),
        pytest.param({"session": "s2"}, False, id="another-session"),
        pytest.param({"session": ""}, False, id="no-session"),
        pytest.param({"subscription": "sub_2"}, False, id="another-subscription"),
        pytest.param({"tenant": "fabrikam"}, False, id="another-tenant"),
    ],
)
async def test_a_session_is_one_users_of_one_subscription_and_numbers_go_on_in_no_other(other: dict[str, str], same: bool) -> None:
    worker = Worker(Pii(id="p"))
    first = {"tenant": "contoso", "subscription": "sub_1", "user": "ann", "session": "s1"}
    sent, given = [], []
    for who, text in ((first, "ann@contoso.com, ben@contoso.com"), (first | other, "ben@contoso.com")):
        principal = make_principal(tenant=who["tenant"], subscription=who["subscription"])
        document = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        model = worker.known.find("gpt-4o")
        assert model is not None
        labels = Labels(user=who["user"], session=who["session"])
        request = Request(make_call(document), model, worker.known, principal, labels, 100.0)
        request, guarded = await worker.guardian.inspect(Draft(make_inbound(document)), request, worker.product)
        assert guarded is not None
        sent.append(request.call.document["messages"][0]["content"])
        given.append(guarded.original("<EMAIL_1> <EMAIL_2> <EMAIL_3>"))
    assert sent == ["<EMAIL_1>, <EMAIL_2>", "<EMAIL_2>" if same else "<EMAIL_1>"]
    mine = "<EMAIL_1> ben@contoso.com <EMAIL_3>" if same else "ben@contoso.com <EMAIL_2> <EMAIL_3>"
    assert given == ["ann@contoso.com ben@contoso.com <EMAIL_3>", mine]  # what was masked in this call, and nothing else
