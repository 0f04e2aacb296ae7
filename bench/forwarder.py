"""The baseline: the barest forwarder that Starlette and aiohttp make. No keys, no limits, no records, no checks.

`python -m bench.forwarder PORT UPSTREAM_PORT`
"""

import sys

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

UPSTREAM = f"http://127.0.0.1:{sys.argv[2]}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
sessions: list[aiohttp.ClientSession] = []


async def forward(request: Request) -> Response:
    if not sessions:
        sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False))
    body = await request.body()
    response = await sessions[0].post(UPSTREAM, data=body, headers={"content-type": "application/json", "api-key": "bench"})
    if response.headers["content-type"].startswith("text/event-stream"):
        return StreamingResponse(response.content.iter_any(), media_type="text/event-stream")
    return Response(await response.read(), media_type="application/json")


app = Starlette(routes=[Route("/v1/chat/completions", forward, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", log_level="warning", access_log=False)
