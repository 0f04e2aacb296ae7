"""What `python -m gateway.prompts` does: push, pull and diff, each with one line per prompt and a summary.

| command | says 0 | says 1 | says 2 |
| --- | --- | --- | --- |
| `push` | all files are at the gateway | | a file is faulty, or the gateway refused one |
| `pull` | all files are as at the gateway | files with changes of your own were kept | likewise |
| `diff` | nothing differs | something does | likewise |
"""

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from gateway.prompts.client import LATEST, Client, ClientFault, adopted, same
from gateway.prompts.client_folder import Kept, load, save
from gateway.prompts.files import Form, PromptFile, form_of, write
from gateway.prompts.rows import hash_of

SAME, DIFFERENT = 0, 1
_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}
_PLAIN = "\x1b[0m"

type Say = Callable[[str], None]


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for.

    Attributes:
        label: To put (push), or to read (pull, diff); empty for none, which reads the latest version.
        note: Why the versions are made.
        form: Of files that are new.
        force: Overwrite changes of one's own.
        dry_run: Change nothing, and say what would be.
        colour: The output goes to a screen.
    """

    folder: Path
    label: str = ""
    note: str = ""
    form: Form = "yaml"
    force: bool = False
    dry_run: bool = False
    colour: bool = False


class _Lines:
    """Lines that stand under each other, and their sum."""

    def __init__(self, names: Mapping[str, object], say: Say) -> None:
        self._width = max(map(len, names), default=0)
        self._say = say
        self._counted: Counter[str] = Counter()

    def line(self, name: str, state: str, *more: str) -> None:
        self._counted[state] += 1
        self._say("  ".join([name.ljust(self._width), state.ljust(9), *more]).rstrip())

    def sum(self, *more: str) -> None:
        many = sum(self._counted.values())
        states = [f"{count} {state}" for state, count in self._counted.items()]
        self._say(f"{many} {'prompt' if many == 1 else 'prompts'}{': ' if states else ''}{', '.join([*states, *more])}")


def push(client: Client, wishes: Wishes, say: Say) -> int:
    """Make a version of every file that says something else than the latest one, and put the label on what the files say."""
    local = load(wishes.folder)
    there = client.list()
    lines = _Lines(local, say)
    for name, kept in local.items():
        _left_out(kept, say)
        labels = there[name]["labels"] if name in there else {}
        try:
            before = client.read(name, LATEST) if name in there else None
            unchanged = before is not None and same(kept.prompt, before.prompt)
            if before is not None and (unchanged or wishes.dry_run):
                version = before.version + (0 if unchanged else 1)
            else:
                version = 1 if wishes.dry_run else client.create(kept.prompt, wishes.note)
            moved = bool(wishes.label) and labels.get(wishes.label) != version
            if moved and not wishes.dry_run:
                client.put_label(name, wishes.label, version)
        except ClientFault as exc:
            lines.sum("then this one was refused")
            raise ClientFault(f"{kept.path.name}: {exc}") from exc
        state = "unchanged" if unchanged else "changed" if before else "new"
        lines.line(name, state, f"version {version}", *([f"{wishes.label} put here"] if moved else []))
    lines.sum(*(["nothing was sent"] if wishes.dry_run else []))
    return SAME


def pull(client: Client, wishes: Wishes, say: Say) -> int:
    """Write every prompt of the gateway as a file; one that was changed here is kept, unless overwriting is asked for."""
    local = load(wishes.folder) if wishes.folder.exists() else {}
    wanted = wishes.label or LATEST
    there = client.list()
    lines = _Lines(there, say)
    code = SAME
    for name, head in sorted(there.items()):
        if wanted != LATEST and wanted not in head["labels"]:
            lines.line(name, "left out", f"has no label {wanted}")
            continue
        found = client.read(name, wanted)
        kept = local.get(name)
        if kept is not None and same(kept.prompt, found.prompt):
            lines.line(name, "unchanged", f"version {found.version}")
            continue
        if kept is not None and not wishes.force and not _was_pulled(client, kept.prompt):
            lines.line(name, "kept", f"{kept.path.name} has changes of yours; --force overwrites them")
            code = DIFFERENT
            continue
        path = kept.path if kept else wishes.folder / f"{name}.{wishes.form}"
        if kept is None and path.exists():
            raise ClientFault(f"{path} is the file of another prompt; rename it")
        if not wishes.dry_run:
            save(path, found.prompt, form_of(path.name) or wishes.form)
        lines.line(name, "written", f"version {found.version}", path.name)
    lines.sum(*(["nothing was written"] if wishes.dry_run else []))
    return code


def diff(client: Client, wishes: Wishes, say: Say) -> int:
    """Show what the files say otherwise than the gateway does."""
    local = load(wishes.folder)
    wanted = wishes.label or LATEST
    there = client.list()
    lines = _Lines(local, say)
    code = SAME
    for name, kept in local.items():
        if name not in there or (wanted != LATEST and wanted not in there[name]["labels"]):
            lines.line(name, "new", f"has no label {wanted}" if name in there else "is not at the gateway")
            code = DIFFERENT
            continue
        found = client.read(name, wanted)
        if same(kept.prompt, found.prompt):
            lines.line(name, "same", f"version {found.version}")
            continue
        lines.line(name, "differs", f"from version {found.version}")
        code = DIFFERENT
        for line in _compared(kept, adopted(kept.prompt, found.prompt), f"{name} version {found.version}"):
            say(f"{_COLOURS[line[0]]}{line}{_PLAIN}" if wishes.colour and line[0] in _COLOURS else line)
    more = len(there.keys() - local.keys())
    lines.sum(*([f"{more} more at the gateway"] if more else []))
    return code


def _compared(kept: Kept, there: PromptFile, title: str) -> Iterator[str]:
    before, after = (write(prompt, "yaml").decode().splitlines() for prompt in (there, kept.prompt))
    return difflib.unified_diff(before, after, title, kept.path.name, lineterm="")


def _was_pulled(client: Client, prompt: PromptFile) -> bool:
    """Tell whether a file says what some version said: then nobody's change is lost with it."""
    own = hash_of(prompt.text)
    numbers = [each["version"] for each in client.versions(prompt.name) if each["hash"] == own]
    return any(same(prompt, client.read(prompt.name, str(number)).prompt) for number in numbers)


def _left_out(kept: Kept, say: Say) -> None:
    if kept.prompt.left_out:
        say(f"{kept.path.name}: left out, because a gateway does without: {', '.join(kept.prompt.left_out)}")
