"""The demo keys: made as any administrator makes them, over the gateway's own HTTP API."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from devhost import console
from devhost.environment import write_private
from devhost.host import AppError

PRODUCTS = ("unlimited", "starter")
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
    """Make a subscription to each demo product, or read the keys of an earlier start.

    Returns:
        Product → virtual key; the unlimited one first.

    Raises:
        AppError: The gateway refused.
    """
    kept = data / "demo-keys.json"
    if kept.exists():
        keys: dict[str, str] = json.loads(kept.read_text(encoding="utf-8"))
        return keys
    keys = {}
    async with aiohttp.ClientSession(base_url=url, headers={"authorization": f"Bearer {admin_key}"}) as session:
        for product in PRODUCTS:
            key = await _subscribe(session, product)
            if key is None:
                console.warn(f"no demo key for the product {product!r}: POST /manage/subscriptions does not know it")
                continue
            keys[product] = key
    write_private(kept, json.dumps(keys) + "\n")
    return keys


async def _subscribe(session: aiohttp.ClientSession, product: str) -> str | None:
    order = {"tenant": "default", "product": product, "name": "demo"}
    async with session.post("/manage/subscriptions", json=order) as response:
        if response.status == 404:
            return None
        if response.status != 201:
            raise AppError(f"no demo key: POST /manage/subscriptions answered {response.status} {await response.text()}")
        made: dict[str, Any] = await response.json()
    if made["state"] == "submitted":
        async with session.post(f"/manage/subscriptions/{made['id']}/approve") as response:
            if response.status != 200:
                raise AppError(f"no demo key: approving answered {response.status} {await response.text()}")
            made |= {name: value for name, value in (await response.json()).items() if name == "keys" and value}
    key: str = made["keys"]["primary"]
    return key
