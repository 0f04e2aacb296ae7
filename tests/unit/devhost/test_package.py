"""The package: what the Functions host needs, nothing else, and the same bytes each time."""

from pathlib import Path, PurePosixPath

import pytest

from devhost.host import ROOT
from devhost.package import build, files, ignored, missing, read_rules

RULES = read_rules("# a comment\n.*\n*.md\n/tests\n__pycache__\nbuild/\n!keep.md\ndocs/*.txt\n")


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        (".env", False, True),
        ("a/.git", True, True),
        ("a/b.md", False, True),
        ("a/keep.md", False, False),
        ("tests", True, True),
        ("a/tests", True, False),
        ("a/__pycache__", True, True),
        ("build", True, True),
        ("build", False, False),
        ("docs/a.txt", False, True),
        ("a/docs/a.txt", False, False),
        ("gateway/x.py", False, False),
    ],
)
def test_reads_the_ignore_file_as_git_reads_its_own(path: str, *, folder: bool, expected: bool) -> None:
    assert ignored(RULES, PurePosixPath(path), folder=folder) is expected


def test_packs_the_app_and_leaves_the_rest_behind() -> None:
    packed = {str(path) for path in files(ROOT, read_rules((ROOT / ".funcignore").read_text(encoding="utf-8")))}
    assert missing([PurePosixPath(path) for path in packed]) == []
    tops = {path.split("/")[0] for path in packed}
    assert tops <= {"function_app.py", "host.json", "requirements.txt", "catalog.yaml", "gateway", "orchestrations", "NOTICE"}
    assert any(path.startswith("gateway/metering/encodings/") for path in packed)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / ".funcignore").write_text(".*\n", encoding="utf-8")
    (tmp_path / "app" / "a.py").write_text("x = 1\n", encoding="utf-8")
    assert build(tmp_path / "app", tmp_path / "one.zip") == [PurePosixPath("a.py")]
    build(tmp_path / "app", tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_refuses_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="symbolic link"):
        list(files(tmp_path, []))
