"""A backend with canned answers on a bare asyncio protocol, so that it costs next to nothing beside what is measured.

`python -m bench.upstream PORT`. POST with `"stream":true` anywhere in the body streams `CHUNKS` chunks, one every
`GAP_S`; each carries the time it was written (seconds on the machine-wide monotonic clock). All else gets one answer;
the deployment `fails` answers 500 at once, `hangs` answers after `HANG_S`. As at Azure, a stream whose body has
`"include_usage":true` ends with a usage chunk, and `"usage":null` ends all others. Where the body has `"stamp":"letters"`, the time
is a word, which no guardrail holds back.
"""

import asyncio
import json
import sys
import time

import uvloop

CHUNKS = 50
GAP_S = 0.020
HANG_S = 30.0
LETTERS = str.maketrans("0123456789.", "bfgkqvwxyzh")  # no month can be spelt with them
FAILURE = b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
ANSWER = json.dumps({
    "id": "chatcmpl-bench", "object": "chat.completion", "created": 1700000000, "model": "gpt-4o-2024-11-20",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "The quick brown fox jumps over the lazy dog. " * 12},
                 "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 40, "completion_tokens": 120, "total_tokens": 160},
}, separators=(",", ":")).encode()  # fmt: skip
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


# The members in Azure's order, which is alphabetical.
FRAME = ',"created":1700000000,"id":"chatcmpl-bench","model":"gpt-4o-2024-11-20","object":"chat.completion.chunk","system_fingerprint":"fp"'
USAGE = f'data: {{"choices":[]{FRAME},"usage":{{"completion_tokens":51,"prompt_tokens":40,"total_tokens":91}}}}\n\n'.encode()


def event(delta: str, finish: str = "null", *, usage: bool) -> bytes:
    choice = f'{{"delta":{delta},"finish_reason":{finish},"index":0,"logprobs":null}}'
    tail = ',"usage":null' if usage else ""
    return f'data: {{"choices":[{choice}]{FRAME}{tail}}}\n\n'.encode()


def framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Backend(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""
        self.usage = False
        self.letters = False

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (head_end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:head_end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0
            end = head_end + 4 + length
            if len(self.buffer) < end:
                return
            body, self.buffer = self.buffer[head_end + 4 : end], self.buffer[end:]
            if b"/deployments/fails/" in head:
                self.transport.write(FAILURE)
            elif b"/deployments/hangs/" in head:
                asyncio.get_running_loop().call_later(HANG_S, self.answer)
            elif b'"stream":true' in body:
                self.usage = b'"include_usage":true' in body
                self.letters = b'"stamp":"letters"' in body
                self.transport.write(STREAM_HEAD + framed(event('{"content":"","role":"assistant"}', usage=self.usage)))
                loop = asyncio.get_running_loop()
                loop.call_later(GAP_S, self.chunk, loop.time() + GAP_S, 0)
            else:
                self.transport.write(PLAIN)

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(PLAIN)

    def chunk(self, due_s: float, index: int) -> None:
        if self.transport.is_closing():
            return
        loop = asyncio.get_running_loop()
        if index < CHUNKS:
            stamp = f"{time.perf_counter():.6f}"
            said = stamp.translate(LETTERS) + " " if self.letters else stamp
            self.transport.write(framed(event(f'{{"content":"{said}"}}', usage=self.usage)))
            loop.call_at(due_s + GAP_S, self.chunk, due_s + GAP_S, index + 1)
        else:
            usage = framed(USAGE) if self.usage else b""
            ending = framed(event("{}", '"stop"', usage=self.usage)) + usage + framed(b"data: [DONE]\n\n")
            self.transport.write(ending + b"0\r\n\r\n")


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
