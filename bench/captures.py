"""What capturing a call costs: one street in this process, one product that captures and one that does not, interleaved.

    python -m bench.captures [rounds]

CPU of the whole process per call, the writing of the blobs (packed and compressed, into memory) included.
"""

import asyncio
import json
import statistics
import sys
import time

from tests.flow.replayed import Recording
from tests.flow.street import completion

CALLS = 300


async def main(rounds: int) -> None:
    street = Recording()
    street.upstream.does = lambda _: completion("A city of two million people. " * 20)
    text = "What is the capital of country number {}, and how many people live there? " * 10
    bodies = [json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text.replace("{}", str(number))}]}).encode()
              for number in range(CALLS)]  # fmt: skip
    cpu_us: dict[str, list[float]] = {"plain": [], "all": []}
    writing_us: list[float] = []
    for number in range(rounds + 1):  # the first one warms up
        for product, found in cpu_us.items():
            started_s = time.process_time()
            for body in bodies:
                await street.call(body=body, product=product)
            called_s = time.process_time()
            await street.captures.flush()
            ended_s = time.process_time()
            street.upstream.requests.clear()
            street.upstream.responses.clear()
            if number:
                found.append((called_s - started_s) / CALLS * 1e6)
                if product == "all":
                    writing_us.append((ended_s - called_s) / CALLS * 1e6)
        street.blobs.data.clear()
        await street.recorder.flush()
    more = [mine - none for mine, none in zip(cpu_us["all"], cpu_us["plain"], strict=True)]
    print(f"not captured {statistics.median(cpu_us['plain']):8.0f} µs CPU/call")
    print(f"captured     {statistics.median(cpu_us['all']):8.0f}    (+{statistics.median(more):.0f}, median of the rounds' differences)")
    print(f"writing it   {statistics.median(writing_us):8.0f}    (in the background)")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
