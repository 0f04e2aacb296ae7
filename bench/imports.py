"""Cold start: what importing the app costs, against importing the three libraries that no Functions app can do without."""

import os
import statistics
import subprocess
import sys

APP = "import function_app"
FLOOR = "import azure.functions, azure.durable_functions, azurefunctions.extensions.http.fastapi"
TIMED = "import time; a = time.process_time(); {}; print(time.process_time() - a)"


def once(statement: str) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", TIMED.format(statement)]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main(rounds: int) -> None:
    rounds = max(rounds, 7)
    once(APP), once(FLOOR)  # write the .pyc files
    pairs = [(once(APP), once(FLOOR)) for _ in range(rounds)]
    app, floor = (min(column) * 1e3 for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    print("Cold start: CPU time of the import, with .pyc files, interleaved; the least of each, and the median ratio.\n")
    print(f"  {'function_app':44}{app:>7.0f} ms\n  {'azure.functions + durable + HTTP extension':44}{floor:>7.0f} ms")
    print(f"  {'ratio':44}{ratio:>7.2f}\n")
