"""The demo keys: made as any administrator makes them, over the gateway's own HTTP API."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from devhost.console import MODEL
from devhost.environment import write_private
from devhost.host import AppError

ALWAYS, SAMPLE = "unlimited", "starter"
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

    Returns:
        Product → virtual key; the unlimited one first. The sample product is left out where the catalogue lacks it.

    Raises:
        AppError: The gateway refused.
    """
    kept = data / "demo-keys.json"
    if kept.exists():
        keys: dict[str, str] = json.loads(kept.read_text(encoding="utf-8"))
        if await _models(url, keys[ALWAYS]) is not None:
            return keys
    async with aiohttp.ClientSession(base_url=url, headers={"authorization": f"Bearer {admin_key}"}) as session:
        made = {product: await _subscribe(session, product) for product in (ALWAYS, SAMPLE)}
    keys = {product: key for product, key in made.items() if key}
    write_private(kept, json.dumps(keys) + "\n")
    return keys


async def example_model(url: str, key: str) -> str:
    """Choose the model for the printed examples: the usual one, or the first that the catalogue offers."""
    models = await _models(url, key) or []
    return MODEL if MODEL in models or not models else models[0]


async def _models(url: str, key: str) -> list[str] | None:
    """List the models that a key may use; None if the key is refused."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/models", headers={"authorization": f"Bearer {key}"}) as response:
        if response.status == 401:
            return None
        return [model["id"] for model in (await response.json())["data"]] if response.status == 200 else []


async def _subscribe(session: aiohttp.ClientSession, product: str) -> str | None:
    order = {"tenant": "default", "product": product, "name": "demo"}
    async with session.post("/manage/subscriptions", json=order) as response:
        if response.status == 404 and product == SAMPLE:
            return None
        if response.status != 201:
            raise AppError(f"no demo key: POST /manage/subscriptions answered {response.status} {await response.text()}")
        made: dict[str, Any] = await response.json()
    key: str = made["keys"]["primary"]
    return key
