"""The lasting part of an export: its weights, and a description that rebuilds net and preprocessing.

jax promises to read a file of `jax.export` for six months, and reads no file that a much newer version
wrote. Therefore `weights.npz` and `export.json` lie beside the file: a later version of this package
writes the file anew from them, without the workdir. NumPy's own format has been the same since 2008 and
needs no further package.
"""

import dataclasses
import datetime
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from mimic_jax.data import scale
from mimic_jax.data.scale import Scale
from mimic_jax.errors import UserError
from mimic_jax.export import differences
from mimic_jax.export import plan as exporting
from mimic_jax.models import nets
from mimic_jax.models.contract import Net
from mimic_jax.runtime import files

WEIGHTS = 'weights.npz'
ASKED = 16  # examples kept with their answers, to check a file that is written anew
PROMISED = datetime.timedelta(days=182)  # for so long jax promises to read a file
# Of a probability, or of a value over its deviation; another version of jax may order sums otherwise.
TOLERANCE = 1e-2
_NET, _STATISTICS, _INPUTS = 'net/', 'preprocess/', 'check/inputs'
_ANSWERS, _VALUES = 'check/probabilities', 'check/values'


class Kept(NamedTuple):
    """variables, stats: as `exporting.serialize` takes them.  inputs [n, ...] raw, answers [n, K]."""

    variables: Mapping
    stats: Mapping[str, np.ndarray]
    inputs: np.ndarray
    answers: np.ndarray


def write(folder: Path, kept: Kept, units: Scale | None = None) -> None:
    """Writes `weights.npz`: net/params/conv_00/kernel and so on, preprocess/mean, and a check.

    units: of real-valued answers.
    """
    arrays = {
        **{_NET + path: leaf for path, leaf in _paths(kept.variables)},
        **{_STATISTICS + name: array for name, array in kept.stats.items()},
        _INPUTS: kept.inputs[:ASKED],
        _VALUES if units else _ANSWERS: kept.answers[:ASKED],
    }
    with (folder / WEIGHTS).open('wb') as file:
        np.savez(file, **{name: np.asarray(array) for name, array in arrays.items()})


def read(path: Path) -> Kept:
    """UserError where the file is not what `write` wrote."""
    variables: dict = {}
    stats, check = {}, {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                if name.startswith(_NET):
                    *groups, last = name.removeprefix(_NET).split('/')
                    here = variables
                    for group in groups:
                        here = here.setdefault(group, {})
                    here[last] = arrays[name]
                elif name.startswith(_STATISTICS):
                    stats[name.removeprefix(_STATISTICS)] = arrays[name]
                else:
                    check[name] = arrays[name]
        answers = check[_VALUES if _VALUES in check else _ANSWERS]
        return Kept(variables, stats, check[_INPUTS], answers)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = getattr(error, 'strerror', None) or f'{type(error).__name__}: {error}'
        raise UserError(
            f'{path} cannot be read ({reason}); it is written beside an export, by this version or newer'
        ) from None


def facts(net: Net) -> dict:
    """The part of `export.json` that rebuilds the net and says how long jax reads the file."""
    today = datetime.date.today()
    rebuilt = dataclasses.asdict(net) if isinstance(net, nets.NotationNet) else None
    return {
        'net': rebuilt,
        'jax': jax.__version__,
        'written': today.isoformat(),
        'promised_until': (today + PROMISED).isoformat(),
    }


def line(described: Mapping) -> str:
    """How long the file can be read, for the terminal."""
    return (
        f'jax {described["jax"]} and newer read the file, as jax promises until '
        f'{described["promised_until"]}; {WEIGHTS} and {exporting.DESCRIPTION} beside it last, and '
        f'--phase=export --from=FOLDER --output=NEW writes it anew'
    )


def again(source: Path, output: Path, file_format: str) -> str:
    """Writes an export anew from its weights and description, in the new folder `output`.

    source: the export's folder, or a file in it.
    The file's answers are compared with those that were kept. Returns lines for the terminal.

    Raises:
      UserError: files that are missing or damaged, a net that cannot be rebuilt, answers that differ, an
        output that holds files already.
    """
    if not source.exists():
        raise UserError(f'there is no --from={source}; give the folder of an export, export-<id>')
    folder = source if source.is_dir() else source.parent
    described = _description(folder / exporting.DESCRIPTION)
    kept = read(folder / WEIGHTS)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f'--output={output} is there already; give a new folder')
    net = nets.of_spec(**described['net'])
    shape, dtype = described['input']['shape'][1:], np.dtype(described['input']['dtype'])
    units = scale.from_json(described.get('targets'))
    content = exporting.serialize(
        *(net, described['preprocess'], kept.variables, kept.stats, tuple(shape), dtype),
        *(file_format, exporting.metadata(described), units),
    )
    output.mkdir(parents=True, exist_ok=True)
    path = output / exporting.FILES[file_format]
    unchecked = path.with_stem(f'unchecked_{path.stem}')
    files.write_atomically(unchecked, content)
    found = exporting.ask(exporting.load(unchecked), kept.inputs)
    parity = differences.measured(found, kept.answers, TOLERANCE, units)
    difference, answers = parity['max_difference'], 'values' if units else 'probabilities'
    if not difference <= parity['tolerance']:  # NaN too
        unchecked.unlink()
        raise UserError(
            f'{path} would give {answers} that differ by {difference:.1e} from those kept in '
            f'{folder / WEIGHTS}, more than {parity["tolerance"]:g}; it is not written'
        )
    unchecked.replace(path)
    described = {**described, **facts(net), 'format': file_format, 'bytes': len(content)}
    # Figures measured on the older file are not this one's.
    older = ('platforms', 'opset', 'parity', 'latency')
    described = {key: value for key, value in described.items() if key not in older}
    described |= exporting.runs_on(file_format)
    described['parity'] = parity
    write(output, kept, units)
    files.write_atomically(output / exporting.DESCRIPTION, json.dumps(described, indent=1))
    return '\n'.join(
        [
            f'{described["model"]}: {answers} of {len(kept.inputs)} examples within '
            f'{difference:.1e} of those kept with its weights',
            f'{path}, {len(content):,} bytes',
            *([line(described)] if file_format == 'jax' else []),
        ]
    )


def _description(path: Path) -> dict:
    try:
        described = json.loads(path.read_text())
        net, _ = described['net'], described['input']['shape']
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, 'strerror', None) or f'{type(error).__name__}: {error}'
        raise UserError(
            f'--from: {path} cannot be read ({reason}); give the folder of an export, export-<id>'
        ) from None
    if net is None:
        raise UserError(
            f'--from: {described["model"]} is a module of your own; export it from its workdir'
        )
    return described


def _paths(tree: Mapping, before: str = ''):
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f'{before}{name}/')
        else:
            yield f'{before}{name}', value
