"""`make package`: the zip that `func azure functionapp publish` would send; `--check`: is what is derived still right?

.funcignore is read as the Core Tools read it, that is as .gitignore: later lines win, `!` takes back, a leading slash
ties a pattern to the root. Symbolic links are refused: the zip would carry their targets.
"""

import argparse
import fnmatch
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from devhost import console
from devhost.host import ROOT

NEEDED = ("function_app.py", "host.json", "requirements.txt", "catalog.yaml", "gateway/__init__.py")
HERE = PurePosixPath()
STAMP = (2026, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of .funcignore."""

    pattern: str
    rooted: bool
    folders_only: bool
    keeps: bool

    def fits(self, path: PurePosixPath, *, folder: bool) -> bool:
        """Say whether the rule speaks of the path, relative to the root."""
        if self.folders_only and not folder:
            return False
        return fnmatch.fnmatchcase(str(path) if self.rooted else path.name, self.pattern)


def read_rules(text: str) -> list[Rule]:
    """Read .funcignore."""
    rules = []
    for line in (raw.strip() for raw in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        keeps, pattern = line.startswith("!"), line.removeprefix("!")
        folders_only, bare = pattern.endswith("/"), pattern.rstrip("/")
        rules.append(Rule(bare.removeprefix("/"), "/" in bare, folders_only, keeps))
    return rules


def ignored(rules: Sequence[Rule], path: PurePosixPath, *, folder: bool) -> bool:
    """Say whether the last rule that fits leaves the path behind."""
    return next((not rule.keeps for rule in reversed(rules) if rule.fits(path, folder=folder)), False)


def files(root: Path, rules: Sequence[Rule], below: PurePosixPath = HERE) -> Iterator[PurePosixPath]:
    """List what is published, in order; an ignored folder is not entered.

    Raises:
        ValueError: There is a symbolic link.
    """
    for entry in sorted((root / below).iterdir()):
        path = below / entry.name
        folder = entry.is_dir()
        if ignored(rules, path, folder=folder):
            continue
        if entry.is_symlink():
            raise ValueError(f"{path} is a symbolic link, which a package cannot carry")
        if folder:
            yield from files(root, rules, path)
        else:
            yield path


def build(root: Path, target: Path) -> list[PurePosixPath]:
    """Write the zip, the same bytes for the same files; return what is in it."""
    packed = list(files(root, read_rules((root / ".funcignore").read_text(encoding="utf-8"))))
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in packed:
            entry = zipfile.ZipInfo(str(path), STAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, (root / path).read_bytes())
    return packed


def missing(packed: Sequence[PurePosixPath]) -> list[str]:
    """Name what the host needs and the package lacks."""
    names = {str(path) for path in packed}
    return [name for name in NEEDED if name not in names]


def stale_requirements(root: Path, uv: str) -> bool:
    """Say whether requirements.txt differs from what uv.lock says."""
    command = [uv, "export", "--quiet", "--frozen", "--no-dev", "--no-hashes", "--no-emit-project", "--no-header", "--no-annotate"]
    wanted = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return wanted != (root / "requirements.txt").read_text(encoding="utf-8")


def indexes(archive: Path) -> tuple[int, str]:
    """Unpack the zip elsewhere and index it with what is in it alone; return how many functions it has, and what went wrong."""
    script = "import function_app; print(len(function_app.app.get_functions()))"
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
        done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    count = 0 if done.returncode else int(done.stdout or 0)
    return count, "" if count else done.stderr.strip() or "it has no functions"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build dist/gateway.zip, or check; 0 if all is well."""
    parser = argparse.ArgumentParser(prog="python -m devhost.package", description=__doc__)
    parser.add_argument("--check", action="store_true", help="also compare requirements.txt with uv.lock, and index the unpacked zip")
    parser.add_argument("--uv", default="uv", help="the uv to ask")
    options = parser.parse_args(arguments)
    target = ROOT / "dist" / "gateway.zip"
    packed = build(ROOT, target)
    faults = [f"the package lacks {name}" for name in missing(packed)]
    if options.check:
        if stale_requirements(ROOT, options.uv):
            faults.append("requirements.txt is not what uv.lock says: make requirements")
        else:
            console.say("requirements.txt: agrees with uv.lock")
        count, fault = indexes(target)
        if fault:
            faults.append(f"the package cannot be indexed: {fault}")
        else:
            console.say(f"the package: unpacked on its own, it registers {count} functions")
    for fault in faults:
        console.complain(fault)
    console.say(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1024:.0f} KB, {len(packed)} files")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
