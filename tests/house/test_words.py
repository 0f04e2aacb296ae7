"""What no file of the repository may say."""

import re

import pytest

from tests.house.sources import files, name_of

# A lock file names the registry, because its format needs it; this file names what it forbids.
EXEMPT = {"uv.lock", "tests/house/test_words.py"}
FORBIDDEN = {
    "the host of a package registry": re.compile(
        r"\bpypi\.org|pythonhosted\.org|registry\.npmjs\.org|\bindex-url\b|artifactory", re.IGNORECASE
    ),
    "a path of the machine it was written on": re.compile(r"(?<![\w.}/-])/(?:work|root|home/\w+|Users/\w+)/|(?<![\w.}])/tmp/\w"),
    "a tool or a session it was written with": re.compile(r"\bsession_[0-9a-zA-Z]{6,}|\bco-authored-by\b", re.IGNORECASE),
    "the project's own papers": re.compile(r"\bshared/(?:design|encodings|spikes)\b|\bplatform-facts\b|\bpain-points\.md\b"),
    "a conflict that was never resolved": re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE),
    "a key that looks real": re.compile(r"\bgwk_[a-z0-9]{16}_[A-Za-z0-9_-]{43}\b|\bsk-[A-Za-z0-9]{32,}"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    found = []
    for path in files():
        if name_of(path) in EXEMPT or path.suffix in {".pyc", ".tiktoken"}:
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{name_of(path)}:{text.count('\n', 0, hit.start()) + 1}: {hit[0]}" for hit in FORBIDDEN[what].finditer(text)]
    assert found == []
