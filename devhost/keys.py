"""The demo keys: made as any administrator makes them, over the gateway's own HTTP API."""

import asyncio
import hmac
import json
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp

from devhost.console import MODEL
from devhost.environment import write_private
from devhost.functions import AppError

ALWAYS, SAMPLES = "unlimited", ("starter", "guarded")
TENANT = "default"
READY_TRIES = 200


async def until_ready(url: str) -> None:
    """Return when /readyz answers 200.

    Raises:
        AppError: It never does; the message is what /readyz says.
    """
    said = ""
    async with aiohttp.ClientSession() as session:
        for _ in range(READY_TRIES):
            async with session.get(f"{url}/readyz") as response:
                if response.status == 200:
                    return
                said = f"{response.status} {await response.text()}"
                if response.status == 500:
                    break
            await asyncio.sleep(0.05)
    raise AppError(f"the gateway does not get ready: /readyz says {said.strip()}")


async def demo_keys(url: str, admin_key: str, data: Path) -> dict[str, str]:
    """Make a subscription to each demo product, or read the keys of an earlier start that still open the door.

    No model route is called to find out: its record would be the first usage that a newcomer sees.

    Returns:
        Product → virtual key; the unlimited one first. A sample product is left out where the catalogue lacks it.

    Raises:
        AppError: The gateway refused.
    """
    path = data / "demo-keys.json"
    # A gateway that is told to stand behind a front takes calls with its proof only.
    proof = {"x-azure-fdid": front} if (front := os.environ.get("GATEWAY_TRUSTED_FRONT_DOOR_ID")) else {}
    async with aiohttp.ClientSession(base_url=url, headers={"authorization": f"Bearer {admin_key}", **proof}) as session:
        kept = _read(path)
        if kept is None or not await _stand(session, {one["key"].removeprefix("gwk_").partition("_")[0] for one in kept.values()}):
            made = {product: await _subscribe(session, product) for product in (ALWAYS, *SAMPLES)}
            kept = {product: one for product, one in made.items() if one}
            write_private(path, json.dumps({"made_under": _pepper_mark(), "keys": kept}) + "\n")
    return {product: one["key"] for product, one in kept.items()}


def _read(path: Path) -> dict[str, dict[str, str]] | None:
    """Read product → subscription and key; None where there are none that were made under today's pepper."""
    document = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if document.get("made_under") != _pepper_mark():
        return None
    keys: dict[str, dict[str, str]] = document["keys"]
    return keys


def _pepper_mark() -> str:
    """Tell one pepper from another: keys made under another one open nothing."""
    return hmac.digest(os.environ["GATEWAY_KEY_PEPPER"].encode(), b"demo keys", "sha256").hex()


async def _stand(session: aiohttp.ClientSession, wanted: set[str]) -> bool:
    """Say whether active subscriptions have all these keys, by their ids; an app that lists none is believed to."""
    after = ""
    while wanted:
        query = {"tenant": TENANT, "limit": "1000"} | ({"after": after} if after else {})
        async with session.get("/manage/subscriptions", params=query) as response:
            if response.status != 200:
                return True
            page: dict[str, Any] = await response.json()
        wanted = wanted - {slot["id"] for one in page["data"] if one["state"] == "active" for slot in one["key_slots"]}
        after = page["after"] or ""
        if not after:
            break
    return not wanted


async def example_model() -> str:
    """Choose the model for the printed examples: the usual one, or the first that the catalogue offers."""
    if "gateway.container" not in sys.modules:  # another app
        return MODEL
    from gateway.adapters.catalog_source import CatalogUnusable, load_catalog

    try:
        models = [model.id for model in (await load_catalog(os.environ["GATEWAY_CATALOG"], os.environ)).models]
    except CatalogUnusable:  # it was usable a moment ago; whoever calls will be told
        models = []
    return MODEL if MODEL in models or not models else models[0]


async def _subscribe(session: aiohttp.ClientSession, product: str) -> dict[str, str] | None:
    order = {"tenant": TENANT, "product": product, "name": "demo"}
    async with session.post("/manage/subscriptions", json=order) as response:
        if response.status == 404 and product in SAMPLES:
            return None
        if response.status != 201:
            raise AppError(f"no demo key: POST /manage/subscriptions answered {response.status} {await response.text()}")
        made: dict[str, Any] = await response.json()
    return {"subscription": made["id"], "key": made["keys"]["primary"]}
