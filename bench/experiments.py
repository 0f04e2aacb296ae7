"""How often experiments find what is not there, and what is: `python -m bench.experiments [--plot docs/experiments.svg] [--runs N]`.

A look after every batch of 100 units of each arm. Seeded: the same figures every time.
"""

import argparse
import random
from pathlib import Path

from gateway.experiments.sequential import Arm, worse
from tests.unit.experiments.simulations import any_differs, clustered, looks_of, skewed, yes_or_no

LOOKS, BATCH, ALPHA = 50, 100, 0.05
HALVES = (BATCH, BATCH)
WIDTH, HEIGHT, LEFT, TOP = 400, 220, 60, 50
OURS, THEIRS = "#0b6e99", "#c2410c"


def fixed(arms):
    """A t-test that was made for one look."""
    one, other = arms[0].now, arms[1].now
    variance = one.variance / one.n + other.variance / other.n
    return variance > 0 and (one.mean - other.mean) ** 2 > 1.96**2 * variance


def degraded(arms: list[Arm]) -> bool:
    return worse(arms[0], arms[1], higher_is_worse=True, margin=0.0) <= ALPHA


def share(found: list[int], runs: int) -> str:
    middle = found[len(found) // 2] if found else 0
    return f"{len(found) / runs:>8.1%}{middle * BATCH:>14,}"


def table(runs: int) -> None:
    ours = any_differs(ALPHA)
    print(f"{runs} experiments each, {LOOKS} looks, 5,000 units an arm, alpha {ALPHA}\n")
    print(f"  {'':58}{'found':>8}{'median units':>14}")
    for name, draw, batches, found in (
        ("equal, 10 %: a t-test made for one look", yes_or_no(0.1, 0.1), HALVES, fixed),
        ("equal, 10 %", yes_or_no(0.1, 0.1), HALVES, ours),
        ("equal, 1 %", yes_or_no(0.01, 0.01), HALVES, ours),
        ("equal, three arms, 10 %", yes_or_no(0.1, 0.1, 0.1), (BATCH,) * 3, ours),
        ("equal, log-normal costs (sigma 1.5)", skewed(BATCH), HALVES, ours),
        ("different, 10 % and 12 %", yes_or_no(0.1, 0.12), HALVES, ours),
        ("different, 10 % and 12.5 %", yes_or_no(0.1, 0.125), HALVES, ours),
        ("different, 10 % and 13 %", yes_or_no(0.1, 0.13), HALVES, ours),
        ("different, 10 % and 13 %, with half of alpha", yes_or_no(0.1, 0.13), HALVES, any_differs(ALPHA / 2)),
    ):
        print(f"  {name:58}{share(looks_of(runs, draw, batches, LOOKS, found), runs)}")
    print("\n  A canary of 5 %, 20 units between two looks; its errors are guarded\n")
    for bad in (0.01, 0.03, 0.05, 0.1):
        found = looks_of(runs, yes_or_no(0.01, bad), (380, 20), 100, degraded)
        middle = found[len(found) // 2] * 20 if found else 0
        print(f"  errors of 1 % and {bad:<40.0%}{len(found) / runs:>8.1%}{middle:>14,}")
    print("\n  Users with many calls, a look while they call and new ones come\n")
    for alike in (0.0, 0.3, 0.8):
        chance = random.Random(5)
        count = sum(clustered(chance, users=100, grow=5, looks=50, alike=alike) for _ in range(runs))
        print(f"  equal, {alike:>4.0%} of a call's variance is its user's{'':12}{count / runs:>8.1%}")


def curve(found: list[int], runs: int) -> list[float]:
    return [sum(look <= until for look in found) / runs for until in range(LOOKS + 1)]


def line(points: list[tuple[float, float]], left: float, colour: str, dashed: bool = False) -> str:
    path = " ".join(f"{left + x * WIDTH:.1f},{TOP + (1 - y) * HEIGHT:.1f}" for x, y in points)
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'


def text(x: float, y: float, said: str, anchor: str = "middle", colour: str = "#333") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">{said}</text>'


def panel(left: float, title: str, most: float, below: str, ticks: list[str]) -> list[str]:
    parts = [
        f'<rect x="{left}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#999"/>',
        text(left + WIDTH / 2, TOP - 18, title),
    ]
    parts += [text(left - 6, TOP + HEIGHT * (1 - step / 5) + 4, f"{most * step / 5:.0%}", "end") for step in range(6)]
    parts += [text(left + WIDTH * number / (len(ticks) - 1), TOP + HEIGHT + 18, tick) for number, tick in enumerate(ticks)]
    return [*parts, text(left + WIDTH / 2, TOP + HEIGHT + 38, below)]


def plot(path: Path, runs: int) -> None:
    equal, second = yes_or_no(0.1, 0.1), LEFT * 2 + WIDTH + 20
    ours, theirs = (curve(looks_of(runs, equal, HALVES, LOOKS, found), runs) for found in (any_differs(ALPHA), fixed))
    steps = [0.1 + 0.0025 * number for number in range(21)]
    power = [
        len(looks_of(max(runs // 3, 100), yes_or_no(0.1, to), HALVES, LOOKS, any_differs(ALPHA))) / max(runs // 3, 100) for to in steps
    ]
    most = 0.5
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {second + WIDTH + 30} {TOP + HEIGHT + 55}" '
            'font-family="sans-serif" font-size="12">'
        ),
        '<rect width="100%" height="100%" fill="#fff"/>',
        *panel(LEFT, "Equal variants said to differ, by the number of looks", most, "looks", ["0", "10", "20", "30", "40", "50"]),
        line([(look / LOOKS, min(value / most, 1)) for look, value in enumerate(theirs)], LEFT, THEIRS),
        line([(look / LOOKS, value / most) for look, value in enumerate(ours)], LEFT, OURS),
        line([(0, ALPHA / most), (1, ALPHA / most)], LEFT, "#666", dashed=True),
        text(LEFT + WIDTH - 8, TOP + HEIGHT * (1 - theirs[-1] / most) + 34, "a t-test made for one look", "end", THEIRS),
        text(LEFT + WIDTH - 8, TOP + HEIGHT * (1 - ALPHA / most) - 6, "alpha = 5 %", "end", "#666"),
        text(LEFT + WIDTH - 8, TOP + HEIGHT - 8, "ours", "end", OURS),
        *panel(
            second,
            "Found within 5,000 units an arm, where the control converts 10 %",
            1.0,
            "the variant converts",
            ["10 %", "11 %", "12 %", "13 %", "14 %", "15 %"],
        ),
        line([((to - 0.1) / 0.05, value) for to, value in zip(steps, power)], second, OURS),
        line([(0, 0.8), (1, 0.8)], second, "#666", dashed=True),
        text(second + 8, TOP + HEIGHT * 0.2 - 6, "80 %", "start", "#666"),
        "</svg>",
    ]
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.experiments", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--plot", type=Path, help="write the figure there, as SVG")
    chosen = parser.parse_args()
    table(chosen.runs)
    if chosen.plot:
        plot(chosen.plot, chosen.runs)
