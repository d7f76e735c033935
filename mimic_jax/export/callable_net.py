"""A finished net as a function of raw inputs, from a run or from an export."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mimic_jax.artifacts import store
from mimic_jax.data.centring import Centre
from mimic_jax.data.dataset import Dataset
from mimic_jax.errors import UserError
from mimic_jax.export import plan as exporting


@dataclasses.dataclass(frozen=True, eq=False)
class CallableNet:
    """A finished net that answers raw inputs, [n, ...] as the data set holds them.

    classes: the classes' names, where they have names.  facts: the content of an export's `export.json`.
    targets: the names of real-valued targets, which the net answers in their own units; () for classes.
    shape: of one input; None where it is not known.

    Raises:
      UserError: inputs of another shape, or none, whatever they are asked for.
    """

    answer: Callable[[np.ndarray], np.ndarray]
    classes: tuple[str, ...] = ()
    facts: Mapping = dataclasses.field(default_factory=dict)
    is_probability: bool = False
    targets: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None

    def __call__(self, inputs) -> np.ndarray:
        """Logits [n, K] float32, or real values [n, K]. An exported student gives log-probabilities
        instead of logits, which differ from them by a constant for each example."""
        found = self._asked(inputs)
        return np.log(np.maximum(found, 1e-37)) if self.is_probability else found

    def predict_proba(self, inputs) -> np.ndarray:
        """Probabilities [n, K] float32; UserError of real values."""
        if self.targets:
            raise UserError(
                f'the net answers with values of {", ".join(self.targets)}, which have no probabilities; '
                'use predict'
            )
        import scipy.special  # slow to import, and most runs do without it

        found = self._asked(inputs)
        return found if self.is_probability else scipy.special.softmax(found, axis=1)

    def predict(self, inputs) -> np.ndarray:
        """The likeliest class of each input, [n]: its name where classes have names, or its number.

        Of real-valued targets their values, [n, K], or [n] of one target.
        """
        if self.targets:
            values = self._asked(inputs)
            return values[:, 0] if len(self.targets) == 1 else values
        found = self._asked(inputs).argmax(axis=1)
        return np.asarray(self.classes)[found] if self.classes else found

    def _asked(self, inputs) -> np.ndarray:
        given = np.asarray(inputs)
        if self.shape is not None and (given.shape[1:] != self.shape or not given.size):
            wanted = ', '.join(map(str, ('n', *self.shape)))
            raise UserError(f'inputs have shape {given.shape}; the net takes [{wanted}], n from 1')
        return self.answer(given)


def load_student(folder: str | Path) -> CallableNet:
    """A student that `--phase=export` wrote: the artifact's folder, or its file."""
    path = Path(folder).expanduser()
    if not path.exists():
        raise UserError(f'there is no {path}; give the folder export-<id> of a workdir')
    if path.is_dir():
        found = [path / name for name in exporting.FILES.values() if (path / name).is_file()]
        if not found:
            raise UserError(
                f'{path} holds no exported student; give the folder export-<id> of a workdir'
            )
        store.manifest(path)  # checks every file's digest
        path = found[0]
    description = path.with_name(exporting.DESCRIPTION)
    facts = json.loads(description.read_text()) if description.is_file() else {}
    call = exporting.load(path)
    centre = Centre.from_json(facts.get('input', {}).get('centre', {}))
    answer = functools.partial(ask, call, centre)
    shape = tuple(facts['input']['shape'][1:]) if 'input' in facts else None
    if 'targets' in facts:
        return CallableNet(answer, (), facts, targets=tuple(facts['targets']['names']), shape=shape)
    classes = tuple(facts.get('classes') or ())
    return CallableNet(answer, classes, facts, is_probability=True, shape=shape)


def of_data(call: Callable, data: Dataset) -> CallableNet:
    """A net that was trained on `data`.  call: inputs as the net takes them to its outputs."""
    shape = tuple(data.input_shape)
    if data.scale is None:
        return CallableNet(functools.partial(ask, call, data.centre), data.class_names, shape=shape)

    def answer(inputs: np.ndarray) -> np.ndarray:
        return data.scale.restore(ask(call, data.centre, inputs))

    return CallableNet(answer, targets=data.class_names, shape=shape)


def ask(call: Callable, centre: Centre, inputs: np.ndarray) -> np.ndarray:
    """Answers to raw inputs, centred like the features that the net was trained on."""
    return exporting.ask(call, centre.apply(inputs) if centre.columns else inputs)
