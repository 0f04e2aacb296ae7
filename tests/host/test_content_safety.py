"""Azure AI Content Safety and Azure AI Language as they are asked over a socket, through the SDK and our own network, by our guardrails."""

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Self

import aiohttp
import pytest
from azure.core.credentials import AccessToken

from devhost.simulator.config import SimulatorConfig
from devhost.simulator.server import Simulator, serve
from gateway.adapters.clock import SystemClock
from gateway.adapters.content_safety import AzureContentSafety, connect
from gateway.adapters.upstream import PooledUpstream
from gateway.domain.deployment import Auth, AuthType, Protocol
from gateway.domain.guardrails import ContentSafety, Groundedness
from gateway.domain.verdicts import Analysis, Passage, Reading, Role
from gateway.errors import GuardrailUnavailable
from gateway.guardrails.services.content_safety import ContentSafetyService, parts_of
from gateway.guardrails.services.groundedness import GroundednessService
from gateway.guardrails.services.language_pii import LanguagePii
from gateway.guardrails.services.protected_material import ProtectedMaterialService
from gateway.guardrails.services.remembered import Remembered
from gateway.guardrails.services.shields import PromptShields
from gateway.ports import Clock
from tests.builders import make_backend
from tests.fakes.clock import FakeClock
from tests.fakes.safety import FakeSafety

ALL = ("Hate", "SelfHarm", "Sexual", "Violence")
LONG = "word " * 6000  # four chunks
SAFETY_KEY = "safety-key"


@contextlib.asynccontextmanager
async def safety_at(url: str, clock: Clock | None = None, key: str = SAFETY_KEY, **over: Any) -> AsyncIterator[AzureContentSafety]:
    safety = AzureContentSafety(url, key, None, clock or FakeClock(), **over)
    try:
        yield safety
    finally:
        await safety.close()


@pytest.fixture
async def safety(simulator: Simulator) -> AsyncIterator[AzureContentSafety]:
    async with safety_at(simulator.url) as made:
        yield made


async def received(simulator: Simulator) -> list[Any]:
    async with aiohttp.ClientSession() as http, http.get(f"{simulator.url}/_sim/requests") as answer:
        return list((await answer.json())["requests"])


def passages(*texts: str, role: Role = Role.USER) -> list[Passage]:
    return [Passage((), text, role) for text in texts]


def categories(readings: list[Reading]) -> list[list[str]]:
    return [[each.category for each in reading.findings] for reading in readings]


@pytest.mark.parametrize("kind", ["azure", "fake"])
async def test_all_implementations_answer_alike(safety: AzureContentSafety, kind: str) -> None:
    port = safety if kind == "azure" else FakeSafety()
    assert await port.analyze("a sim-hate-4 sim-selfharm-2", categories=ALL) == Analysis(
        {"Hate": 4, "SelfHarm": 2, "Sexual": 0, "Violence": 0}, ()
    )
    assert await port.analyze("sim-violence-5", categories=("Violence",), levels=8) == Analysis({"Violence": 5})
    assert await port.analyze("a sim-blocked", categories=("Hate",), blocklists=("a", "b")) == Analysis({"Hate": 0}, ("a", "b"))
    assert await port.analyze("sim-blocked", categories=ALL, blocklists=("a",), halt_on_blocklist=True) == Analysis({}, ("a",))
    assert await port.shield("sim-attack", ["fine", "sim-attack"]) == (True, (False, True))
    assert await port.shield("", ["fine"]) == (False, (False,))
    assert await port.shield("fine") == (False, ())
    assert await port.protected_material("sim-lyrics " * 20) is True
    assert await port.protected_material("words " * 20) is False
    asked = {"query": "what is it about", "domain": "Generic", "task": "QnA"}
    assert await port.groundedness("sim-ungrounded.abcdefghijklmno", ["a source"], **asked) == (0.5, ("sim-ungrounded.",))
    assert await port.groundedness("true", ["a source"], query="", domain="Medical", task="Summarization") == (0.0, ())


async def test_its_key_and_an_api_version_go_with_every_question(safety: AzureContentSafety, simulator: Simulator) -> None:
    await safety.analyze("x", categories=ALL)
    await safety.shield("x")
    await safety.protected_material("x")
    await safety.groundedness("x", ["y"], query="", domain="Generic", task="Summarization")
    seen = [(each["path"].rpartition("/")[2], each["auth"], each["status"]) for each in await received(simulator)]
    key = ("ocp-apim-subscription-key", 200)
    operations = ["text:analyze", "text:shieldPrompt", "text:detectProtectedMaterial", "text:detectGroundedness"]
    assert sorted(seen) == sorted((operation, *key) for operation in operations)


class Credential:
    """A managed identity's, for the audience that it is asked for."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken("token", int(time.time()) + 3600)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


async def test_a_managed_identity_asks_with_its_token(simulator: Simulator) -> None:
    credential = Credential()
    safety = connect(f"{simulator.url}/azure-ai", "", credential, FakeClock())  # type: ignore[arg-type]
    assert await safety.shield("sim-attack") == (True, ())
    assert (await safety.analyze("sim-hate-2", categories=("Hate",))).severities == {"Hate": 2}
    await safety.close()
    assert set(credential.scopes) == {"https://cognitiveservices.azure.com/.default"}
    assert {each["auth"] for each in await received(simulator)} == {"authorization"}


async def test_texts_of_any_length_are_judged_whole(safety: AzureContentSafety, simulator: Simulator) -> None:
    memory = Remembered(FakeClock())
    service = ContentSafetyService(ContentSafety(id="safe", hate=4, blocklists=("list",)), safety, memory)
    long = f"{LONG}sim-hate-6 {LONG}sim-blocked"
    texts = passages("fine", long, "sim-hate-2")
    assert categories(await service.inspect(texts, tenant="contoso")) == [[], ["hate", "blocklist.list"], []]
    asked = len(await received(simulator))
    assert asked == 2 + len(set(parts_of(long))) > 4
    await service.inspect([*texts, *passages("new")], tenant="contoso")
    assert len(await received(simulator)) == asked + 1


async def test_attacks_are_seen_in_prompts_and_in_documents(safety: AzureContentSafety) -> None:
    said = [
        *passages("fine", LONG + "sim-attack"),
        *passages("sim-attack", LONG, *("a",) * 7, role=Role.TOOL),
        *passages(LONG + "sim-attack", role=Role.DOCUMENT),
    ]
    readings = await PromptShields(safety, Remembered(FakeClock())).inspect(said, tenant="contoso")
    assert categories(readings) == [[], ["jailbreak"], ["indirect_attack"], [], *[[]] * 7, ["indirect_attack"]]


async def test_answers_are_held_against_their_sources_and_known_texts(safety: AzureContentSafety) -> None:
    memory = Remembered(FakeClock())
    answers = passages(f"{LONG}. sim-ungrounded.", LONG + "sim-lyrics", role=Role.ASSISTANT)
    sources = [*passages("what does it say"), *passages(LONG * 3, role=Role.TOOL)]
    grounded = GroundednessService(Groundedness(id="true"), safety, memory)
    assert categories(await grounded.inspect(answers, sources, tenant="contoso")) == [["ungrounded"], []]
    material = ProtectedMaterialService(safety, memory)
    assert categories(await material.inspect(answers, tenant="contoso")) == [[], ["protected_material"]]


async def language(simulator: Simulator, text: str, key: str = "language-key") -> Reading:
    auth = Auth(type=AuthType.API_KEY, key=key, name="Ocp-Apim-Subscription-Key")
    backend = make_backend(id="language", protocol=Protocol.AZURE_AI, endpoint=f"{simulator.url}/azure-ai", auth=auth)

    async def token(_: Auth) -> str:
        return "token"

    upstream = PooledUpstream(token, SystemClock(), idle_timeout_s=5.0)
    try:
        (reading,) = await LanguagePii(backend, upstream, 0.8, Remembered(FakeClock())).inspect(passages(text), tenant="contoso")
    finally:
        await upstream.close()
    return reading


async def test_names_and_addresses_are_found_where_they_stand(simulator: Simulator) -> None:
    first = "Anna Müller, 12 Main Street, works at Northwind Traders GmbH with maria. a@b.example"
    text = f"😀 {LONG}{first} {LONG}Bahnhofstrasse 7, 8001 Zürich."
    reading = await language(simulator, text)
    assert [(each.category, text[each.start : each.end]) for each in reading.findings] == [
        ("person", "Anna Müller"),
        ("address", "12 Main Street"),
        ("organization", "Northwind Traders GmbH"),
        ("address", "Bahnhofstrasse 7, 8001 Zürich"),
    ]


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("sim-language-429", "language-key", "answered 429"),
        ("sim-language-html", "language-key", "answered 502"),
        ("sim-language-malformed", "language-key", "cannot be read"),
        ("sim-language-abort", "language-key", "did not answer"),
        (f"{LONG * 3}sim-language-500", "language-key", "answered 500"),
        ("text", "bad-key-bad-key", "answered 401"),
    ],
    ids=["429", "html", "malformed", "abort", "one-of-many", "401"],
)
async def test_where_language_fails_there_is_no_verdict(simulator: Simulator, text: str, key: str, why: str) -> None:
    with pytest.raises(GuardrailUnavailable, match=why):
        await language(simulator, text, key)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("429", "answered 429"),
        ("503", "answered 503"),
        ("500", "answered 500"),
        ("html", "answered 502"),
        ("401", "answered 401"),
        ("404", "answered 404"),
        ("malformed", "cannot be read"),
        ("abort", "did not answer|cannot be read"),
    ],
)
@pytest.mark.parametrize("operation", ["analyze", "shield", "protected_material", "groundedness"])
async def test_where_the_service_fails_there_is_no_verdict(safety: AzureContentSafety, operation: str, fault: str, why: str) -> None:
    with pytest.raises(GuardrailUnavailable, match=why) as raised:
        await ask(safety, operation, f"sim-safety-{fault}")
    assert "127.0.0.1" not in raised.value.message
    assert "sim-safety" not in raised.value.message


async def ask(safety: AzureContentSafety, operation: str, text: str) -> Any:
    questions: dict[str, Any] = {
        "analyze": lambda: safety.analyze(text, categories=ALL),
        "shield": lambda: safety.shield(text, [text]),
        "protected_material": lambda: safety.protected_material(text),
        "groundedness": lambda: safety.groundedness(text, [text], query="", domain="Generic", task="Summarization"),
    }
    return await questions[operation]()


@pytest.mark.parametrize("fault", ["429", "503"])
async def test_one_that_is_busy_is_asked_once_more_after_the_wait_that_it_names(simulator: Simulator, fault: str) -> None:
    clock = FakeClock()
    async with safety_at(simulator.url, clock) as safety:
        assert await safety.protected_material(f"sim-safety-once-{fault} " + "sim-lyrics " * 20) is True
    assert clock.slept_s == [0.2 if fault == "429" else 1.0]
    assert sorted(each["status"] for each in await received(simulator)) == [200, int(fault)]


async def test_one_that_is_busy_for_long_is_not_waited_for(simulator: Simulator) -> None:
    clock = FakeClock()
    async with safety_at(simulator.url, clock) as safety:
        with pytest.raises(GuardrailUnavailable) as raised:
            await safety.shield("sim-safety-429-9000")
    assert (clock.slept_s, raised.value.retry_after_s) == ([], 9.0)
    assert len(await received(simulator)) == 1


async def test_a_server_error_is_not_asked_again(safety: AzureContentSafety, simulator: Simulator) -> None:
    with pytest.raises(GuardrailUnavailable):
        await safety.shield("sim-safety-500")
    assert len(await received(simulator)) == 1


async def test_one_failing_chunk_of_many_is_no_verdict(safety: AzureContentSafety) -> None:
    service = ContentSafetyService(ContentSafety(id="safe"), safety, Remembered(FakeClock()))
    with pytest.raises(GuardrailUnavailable, match="answered 500"):
        await service.inspect(passages(f"{LONG}sim-safety-500 {LONG}"), tenant="contoso")


async def test_more_requests_a_minute_than_are_allowed_are_refused() -> None:
    async with serve(SimulatorConfig(rpm=3)) as simulator, safety_at(simulator.url) as safety:
        for _ in range(3):
            await safety.shield("fine")
        with pytest.raises(GuardrailUnavailable, match="answered 429"):
            await safety.shield("fine")


async def test_an_answer_that_takes_too_long_is_none(simulator: Simulator) -> None:
    async with safety_at(simulator.url, timeout_s=0.05) as safety:
        with pytest.raises(GuardrailUnavailable, match="did not answer"):
            await safety.shield("sim-safety-slow-5000")


async def test_a_wrong_key_is_refused_and_an_unreachable_service_silent(simulator: Simulator) -> None:
    async with safety_at(simulator.url, key="bad") as safety:
        with pytest.raises(GuardrailUnavailable, match="answered 401"):
            await safety.analyze("x", categories=ALL)
    async with safety_at("http://127.0.0.1:9") as safety:
        with pytest.raises(GuardrailUnavailable, match="did not answer"):
            await safety.analyze("x", categories=ALL)
