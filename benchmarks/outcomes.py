"""What came out of a workdir, times aside: for benchmarks that compare two of them."""

import contextlib
import hashlib
import json
from pathlib import Path

FACTS = ('variables_sha256', 'steps', 'parameters', 'mean', 'deviation', 'cache', 'penalty', 'kept')
CONTENT = ('.npy', 'digests.json', 'decoding.json', 'validation.json', 'test.json')


def of(workdir: Path, experiment: str) -> dict:
    """Every complete artifact's content by name, and the report's rows.

    A net has the digest of its variables; a cache the digests of its views, and their statistics;
    an export how its answers compare with the net's (jax writes the same program in other bytes
    each time); all others the SHA-256 of their arrays and answers. Seconds, and files that hold
    them, are left out.
    """
    found = {
        folder.name: _artifact(folder)
        for folder in sorted(workdir.glob('*-*'))
        if (folder / 'COMPLETE').is_file()
    }
    with contextlib.suppress(FileNotFoundError):
        found['rows'] = json.loads((workdir / experiment / 'report.json').read_text())['rows']
    return found


def difference(one: dict, other: dict) -> list[str]:
    """The names whose content differs, or is in one of the two alone."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _artifact(folder: Path) -> dict:
    manifest = json.loads((folder / 'manifest.json').read_text())
    facts = {name: manifest[name] for name in FACTS if name in manifest}
    # A net's digests are those of its checkpoints, some of which a kill made the run write twice.
    kept = CONTENT if folder.name.startswith('logits-') else CONTENT[:1] + CONTENT[2:]
    files = {name: _sha256(folder / name) for name in manifest['files'] if name.endswith(kept)}
    with contextlib.suppress(FileNotFoundError):
        facts['parity'] = json.loads((folder / 'export.json').read_text())['parity']
    return {**facts, 'files': files}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
