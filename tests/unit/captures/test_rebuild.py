"""What a prompt, a history and a variant made of a call is made again from its capture, and from nothing else."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gateway.captures.capture import Captures
from gateway.captures.names import pack, unpack
from gateway.captures.rebuild import as_sent, proved, rebuild
from gateway.captures.record import Captured, Outcome, Source
from gateway.domain import prompt_body
from gateway.domain.call import Call, Operation
from gateway.domain.conversations import Capture
from gateway.domain.deployment import Deployment
from gateway.domain.prompt_body import Addition, joined
from gateway.domain.prompt_reference import reference_in
from gateway.domain.prompts import PromptMessage, PromptVersion
from gateway.domain.readers import READERS
from gateway.domain.strict_json import parse_object
from gateway.errors import RequestError
from gateway.providers.registry import provider_for
from tests.builders import make_deployment, make_inbound, make_principal, make_product
from tests.fakes.blobs import FakeBlobs
from tests.fakes.clock import FakeClock
from tests.fakes.upstream import FakeResponse, Reply

VERSION = PromptVersion(
    tenant="contoso", name="support", version=3, model="gpt-4o", hash="abc", parameters={"temperature": 0.25},
    messages=(PromptMessage("system", "Be {{tone}}, as {{lookups.crm}} deserves."),),
)  # fmt: skip
BODY = b'{"prompt": {"id": "support", "variables": {"tone": "kind"}},  "messages": [ {"role":"user","content":"caf\\u00e9"} ]}'
HISTORY = ({"role": "user", "content": "before"}, {"role": "assistant", "content": "yes?"})


def rendered(version: PromptVersion, captured_body: bytes, lookups: Any, history: Any, forced: Any) -> bytes:
    """Expand as the street does, by the same pure function; the template's language does not matter here."""
    reference = reference_in(parse_object(captured_body), captured_body)
    assert reference is not None
    text = str(version.messages[0].content).replace("{{tone}}", reference.variables["tone"]).replace("{{lookups.crm}}", lookups["crm"])
    before = [{"role": "system", "content": text}, *history]
    addition = Addition(before=before, model=version.model, parameters=version.parameters)
    body = joined(Operation.CHAT, parse_object(reference.body), reference.body, addition)
    return prompt_body.forced(Operation.CHAT, body, forced)


def expand(captured: Captured, version: PromptVersion | None) -> bytes:
    assert captured.source is not None
    assert version is not None
    return rendered(version, captured.body, captured.source.lookups, captured.history, captured.forced)


def encoded(call: Call, deployment: Deployment, capabilities: tuple[str, ...]) -> bytes:
    provider = provider_for(deployment.backend.protocol, call.operation, capabilities)
    assert provider is not None
    return provider.encode(call, deployment).body


async def captured(forced: dict[str, Any]) -> Captured:
    """Let a call with a prompt walk down the street as far as its backend."""
    captures = Captures(FakeBlobs(), FakeClock())
    inbound = make_inbound()
    sheet = captures.begin(inbound, BODY, make_principal(), make_product(capture=Capture()))
    assert sheet is not None
    lookups = {"crm": "a gold customer"}
    source = Source("contoso", "support", 3, "abc", {"role": "agent"}, lookups)
    sheet.expanded(source=source, history=HISTORY, experiment="tone", variant="b", forced=forced)
    call = READERS[Operation.CHAT](msgspec.structs.replace(inbound, body=rendered(VERSION, BODY, lookups, HISTORY, forced)), "")
    sheet.read(call)
    deployment = make_deployment()
    sent = encoded(call, deployment, ())
    response: Any = FakeResponse(Reply(steps=[b"{}"]), FakeClock())
    await sheet.heard(call, deployment, (), sent, response).read()
    sheet.keep(SimpleNamespace(**msgspec.structs.asdict(Outcome())), sent)
    (kept,) = [each for each, _ in captures._waiting]
    return unpack(pack(kept))


@pytest.mark.parametrize("forced", [{}, {"model": "gpt-4o-mini", "top_p": 0.5}], ids=["control", "variant"])
async def test_a_prompts_request_is_rebuilt_from_its_version_variables_lookups_history_and_variant(forced: dict[str, Any]) -> None:
    kept = await captured(forced)
    rebuilt = rebuild(kept, VERSION, expand, encoded)
    assert rebuilt == kept.upstream_body
    assert proved(kept, rebuilt)
    assert b"Be kind, as a gold customer deserves." in rebuilt
    assert b"caf\\u00e9" in rebuilt


async def test_another_version_rebuilds_nothing() -> None:
    kept = await captured({})
    for other in (None, msgspec.structs.replace(VERSION, hash="other")):
        with pytest.raises(RequestError, match="version 3"):
            rebuild(kept, other, expand, encoded)
    with pytest.raises(RequestError, match="expanded"):
        rebuild(kept, VERSION, as_sent, encoded)


async def test_a_call_that_nobody_was_asked_for_rebuilds_nothing() -> None:
    kept = msgspec.structs.replace(await captured({}), asked=None)
    with pytest.raises(RequestError, match="no backend"):
        rebuild(kept, VERSION, expand, encoded)


async def test_a_sheet_that_is_never_handed_in_gives_its_room_back() -> None:
    captures = Captures(FakeBlobs(), FakeClock())
    sheet = captures.begin(make_inbound(), BODY, make_principal(), make_product(capture=Capture()))
    assert sheet is not None
    response: Any = FakeResponse(Reply(steps=[b"x" * 1000]), FakeClock())
    call = READERS[Operation.CHAT](make_inbound({"model": "m", "messages": []} | {"messages": [{"role": "user", "content": "x"}]}), "")
    await sheet.heard(call, make_deployment(), (), b"", response).read()
    assert captures._held_bytes == 1000
    del sheet
    assert captures._held_bytes in {0, 1000}  # what reads the answer still holds it
    del response
    assert captures._held_bytes == 0
