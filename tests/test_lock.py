"requirements.lock: what is installed here, each with the hashes of its files."

import importlib.metadata
import re
from pathlib import Path

LOCK = (Path(__file__).parent.parent / 'requirements.lock').read_text()


def test_every_package_has_hashes(record):
    entries = re.findall(r'^([\w.-]+)==([\w.]+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$', LOCK, re.M)
    lines = LOCK.splitlines()
    assert re.fullmatch(r'# renewed 20\d\d-\d\d-\d\d .*', lines[0])
    assert sum(1 + hashes.count('--hash') for _, _, hashes in entries) == len(lines) - 1, (
        'a line is neither a package nor a hash'
    )
    assert next(hashes.count('--hash') for name, _, hashes in entries if name == 'torch') >= 2, (
        "torch needs the hash of PyPI's build and of the CPU build"
    )
    record(
        'same numbers',
        'packages locked with hashes',
        packages=len(entries),
        hashes=sum(hashes.count('--hash') for _, _, hashes in entries),
    )


def test_what_is_installed_is_what_is_locked():
    for name, version in re.findall(r'^([\w.-]+)==([\w.]+)', LOCK, re.M):
        assert importlib.metadata.version(name).partition('+')[0] == version, name
