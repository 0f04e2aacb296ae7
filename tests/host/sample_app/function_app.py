"""A small Function App that shows what a host must get right: routing, streaming, leaving clients, failures."""

import asyncio
from collections import Counter

import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
seen: Counter[str] = Counter()
released = asyncio.Event()
last_tick: dict[str, object] = {}


class Echo(Response):
    """Sends every part of the request's body back as soon as it arrives."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self.request = request

    async def __call__(self, scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                seen["disconnects"] += 1
                return
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})


async def _parts():
    yield b"one\n"
    await released.wait()
    yield b"two\n"


@app.route(route="readyz", methods=["GET"])
async def readyz(req: Request) -> Response:
    return JSONResponse({"status": "ok"})


@app.route(route="manage/subscriptions", methods=["POST"])
async def subscribe(req: Request) -> Response:
    product = (await req.json())["product"]
    seen["subscriptions"] += 1
    keys = {"primary": f"gwk_{product}_{seen['subscriptions']}", "secondary": "gwk_other"}
    return JSONResponse({"id": product, "state": "active", "keys": keys}, 201)


@app.timer_trigger(schedule="* * * * * *", arg_name="timer")
async def tick(timer: func.TimerRequest) -> None:
    seen["ticks"] += 1
    if seen["ticks"] == 2:
        raise ValueError("the second one fails")
    last_tick.update(past_due=timer.past_due, **timer.schedule_status)


@app.route(route="ticks", methods=["GET"])
async def ticks(req: Request) -> Response:
    return JSONResponse({"ticks": seen["ticks"], **last_tick})


@app.route(route="echo", methods=["POST"])
async def echo(req: Request) -> Response:
    return Echo(req)


@app.route(route="stream", methods=["GET"])
async def stream(req: Request) -> StreamingResponse:
    released.clear()
    return StreamingResponse(_parts(), media_type="text/event-stream")


@app.route(route="release", methods=["POST"])
async def release(req: Request) -> Response:
    released.set()
    return Response(status_code=204)


@app.route(route="seen", methods=["GET"])
async def seen_so_far(req: Request) -> Response:
    return JSONResponse(seen)


@app.route(route="fail", methods=["GET"])
async def fail(req: Request) -> Response:
    raise ValueError("the handler is broken")


@app.route(route="plain", methods=["GET"])
def plain(req: Request) -> Response:
    return JSONResponse({"function": "plain"})


@app.route(route="items/{itemId}/parts/{part}", methods=["GET", "PUT"])
async def item(req: Request) -> Response:
    return JSONResponse({"function": "item", "method": req.method, "values": req.path_params, "query": dict(req.query_params)})


@app.route(route="items/{*rest}", methods=["GET", "POST"])
async def items(req: Request) -> Response:
    body = (await req.body()).decode()
    return JSONResponse({"function": "items", "method": req.method, "values": req.path_params, "body": body})
