"""How good the local injection detector is on sources it never learned from, and what it costs.

    python -m bench.injection ../shared/datasets/injection_dev.jsonl [--worst N]

Leave one source out: for each source a model is trained without it (translations count as one with their original), and judges it.
Scores of all sources are then compared at one threshold. `--worst` prints the reasons, never the texts, of the worst mistakes.
"""

import argparse
import time
from collections.abc import Iterable

from bench.injection_cases import held_out
from bench.train_injection import read, train
from gateway.domain.verdicts import Role
from gateway.guardrails.injection.detector import BALANCE, InjectionDetector
from gateway.guardrails.injection.model import Model

TOGETHER = {"cyberseceval-pi-multilingual": "cyberseceval-pi", "bipia-email-clean": "bipia-email", "bipia-email-indirect": "bipia-email"}
ALLOWED = 0.02
THRESHOLD = 0.5


def place(row: dict[str, str]) -> tuple[str, Role]:
    """Return what of a row is judged, and as whose words: an e-mail is a document."""
    if row["source"].startswith("bipia-email"):
        return row["text"].partition("\nE-mail:\n")[2], Role.DOCUMENT
    return row["text"], Role.USER


def score(detector: InjectionDetector, text: str, role: Role) -> float:
    """Return the log-odds, which tell more apart than a rounded score."""
    return max(judged.logit for judged in detector.ways(text, role in {Role.TOOL, Role.DOCUMENT}))


def leave_one_out(rows: list[dict[str, str]], made: float = 1.0) -> dict[str, tuple[list[float], list[float]]]:
    """Return for every source its scores (honest, attacks), by a model that has not seen it."""
    found: dict[str, tuple[list[float], list[float]]] = {row["source"]: ([], []) for row in rows}
    for group in sorted({TOGETHER.get(source, source) for source in found}):
        out = {source for source in found if TOGETHER.get(source, source) == group}
        detector = InjectionDetector(THRESHOLD, train([row for row in rows if row["source"] not in out], made))
        for row in rows:
            if row["source"] in out:
                found[row["source"]][int(row["label"])].append(score(detector, *place(row)))
    return found


def area(honest: list[float], attacks: list[float]) -> float:
    """Return the area under the ROC curve."""
    ranked = sorted([(each, 0) for each in honest] + [(each, 1) for each in attacks])
    below, total = 0, 0
    for _, label in ranked:
        below, total = (below, total + below) if label else (below + 1, total)
    return total / (len(honest) * len(attacks))


def cut(honest: list[float], allowed: float = ALLOWED) -> float:
    """Return the score above which lies no more than an allowed share of honest texts."""
    return sorted(honest, reverse=True)[int(len(honest) * allowed)]


def share(values: Iterable[float], above: float) -> float:
    listed = list(values)
    return sum(each > above for each in listed) / len(listed)


def _table(found: dict[str, tuple[list[float], list[float]]], balance: float) -> None:
    honest = [each for good, _ in found.values() for each in good]
    attacks = [each for _, bad in found.values() for each in bad]
    at = cut(honest)
    print(f"all: AUC {area(honest, attacks):.3f}, recall {share(attacks, at):.3f} at {ALLOWED:.0%} false positives (log-odds {at:.2f})")
    print(f"at the default threshold: recall {share(attacks, balance):.3f}, false positives {share(honest, balance):.3f}\n")
    print(
        "| source | texts | AUC | recall at 2 % | at 0.5 | false positives at 2 % | at 0.5 |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for source, (good, bad) in sorted(found.items()):
        if bad:
            cells = f"{len(bad)} attacks | {area(honest, bad):.3f} | {share(bad, at):.3f} | {share(bad, balance):.3f} | | |"
        else:
            cells = f"{len(good)} honest | | | | {share(good, at):.3f} | {share(good, balance):.3f} |"
        print(f"| {source} | {cells}")


def _held_out(model: Model | None, worst: int, balance: float) -> None:
    detector, found, said = InjectionDetector(THRESHOLD, model), {}, []
    for case in held_out():
        judged = max(detector.ways(case.text, case.role in {Role.TOOL, Role.DOCUMENT}), key=lambda each: each.logit)
        found.setdefault("held-out", ([], []))[case.label].append(judged.logit)
        said.append((judged.logit if case.label else -judged.logit, case, judged.reason))
    honest, attacks = found["held-out"]
    at = cut(honest)
    print(f"\nhand-written: {len(attacks)} attacks, {len(honest)} honest texts")
    print(f"  AUC {area(honest, attacks):.3f}, recall {share(attacks, at):.3f} at 2 % false positives")
    print(f"  at the default threshold: recall {share(attacks, balance):.3f}, false positives {share(honest, balance):.3f}")
    for logit, case, reason in sorted(said, key=lambda each: each[0])[:worst]:
        print(f"  {'missed' if case.label else 'honest'} {case.role}/{case.kind}: {abs(logit):.1f} ({reason})")


KINDS = {"prose": ("self-instruct", "wildguard"), "e-mails": ("bipia-email",), "code and its errors": ("bipia-code",)}
LAPS = 12


def timing(rows: list[dict[str, str]]) -> None:
    """Print microseconds of CPU time per 4 KB: the first time that a text is read, and the least of some more."""
    detector = InjectionDetector(THRESHOLD)
    detector.read("warm")
    print("\n| 4 KB of | first time | then, as a message | as a document |\n| --- | --- | --- | --- |")
    for kind, sources in KINDS.items():
        whole = "\n".join(row["text"] for row in rows if not row["label"] and row["source"].startswith(sources))
        texts = [whole[at : at + 4096] for at in range(0, len(whole) - 4096, 4096)]
        first = [_cpu_us(detector, text, Role.USER) for text in texts]
        cells = [sum(first) / len(texts)]
        for role in (Role.USER, Role.DOCUMENT):
            least = [min(_cpu_us(detector, text, role) for _ in range(LAPS)) for text in texts]
            cells += [sum(least) / len(texts)]
        print(f"| {kind} | {' | '.join(f'{each:.0f} us' for each in cells)} |")


def _cpu_us(detector: InjectionDetector, text: str, role: Role) -> float:
    started = time.process_time()
    detector.read(text, role)
    return (time.process_time() - started) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.injection", description="the local injection detector's quality and cost")
    parser.add_argument("data", help="injection_dev.jsonl", nargs="?", default="../shared/datasets/injection_dev.jsonl")
    parser.add_argument("--worst", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="without leaving sources out")
    arguments = parser.parse_args()
    rows = read(arguments.data)
    if not arguments.quick:
        _table(leave_one_out(rows), BALANCE)
    _held_out(None, arguments.worst, BALANCE)
    timing(rows)


if __name__ == "__main__":
    main()
