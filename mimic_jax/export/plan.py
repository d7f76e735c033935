"""A student as one file that jax alone, or an ONNX runtime, can run: raw examples in, probabilities out.

Of real-valued targets it gives the values, in the targets' own units.

The file holds preprocessing and weights and takes any number of examples at a time. `jax.export`
serializes it, as StableHLO for each of `PLATFORMS`, or `onnx_writer` writes it.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np

from mimic_jax.artifacts.recipes import Recipe
from mimic_jax.config.fields import nearest
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.scale import Scale
from mimic_jax.errors import UserError, first_line
from mimic_jax.export import onnx_writer
from mimic_jax.mimic import ensemble
from mimic_jax.mimic.plan import Plan
from mimic_jax.models import absorb, counts, grammar, nets
from mimic_jax.models.contract import Net
from mimic_jax.runtime import backend, compiled
from mimic_jax.runtime.interrupt import Interrupted
from mimic_jax.training.plan import NetPlan

VERSION = 3  # raise when the same student would be exported otherwise
PLATFORMS = ('cpu', 'cuda', 'tpu')
FILE, DESCRIPTION = 'student.jaxexport', 'export.json'
FILES = {'jax': FILE, 'onnx': 'student.onnx'}  # by format
BATCH = 128  # examples in a call of the exported net
LARGEST = 2 << 30  # bytes that a file can hold: its offsets have 31 bits


@dataclasses.dataclass(frozen=True, eq=False)
class ExportPlan:
    """A student to export: the first of its seeds.

    name: the student's in config.students.  exported: its net, or the same with its bottleneck absorbed.
    reason: why the bottleneck was kept or absorbed, in words.  teachers: the nets that it mimics, to be
    timed beside it.  format: the file's, a key of `FILES`.
    """

    name: str
    recipe: Recipe
    net: NetPlan
    exported: Net
    reason: str
    teachers: tuple[NetPlan, ...]
    classes: tuple[str, ...] | None
    format: str = 'jax'


def make(plan: Plan, data: Dataset, student: str = '', file_format: str = 'jax') -> ExportPlan:
    """The plan of exporting one student.

    student: its name; empty means the only student that mimics, or the only student.
    A student on labels is timed beside the teachers of the first cache.

    Raises:
      UserError: no such student, or several to choose from; a format whose extra is not installed, or
        that the net cannot be written in.
    """
    name = _chosen(plan, student)
    net = plan.students[name][0]
    if file_format == 'onnx':
        onnx_writer.require()
        nets.notation_only(net.task.net, 'an ONNX export; leave --format=onnx out')
    cache = net.cache or next(iter(plan.caches.values()), None)
    exported, reason = _cheaper(net.task.net, data)
    recipe = Recipe(
        phase='export',
        config={'model': exported.name, **runs_on(file_format)},
        data=data.fingerprint,
        reads=(net.recipe.name,),
        versions={'export': VERSION},
    )
    teachers = cache.members if cache else ()
    classes = data.class_names or None if data.scale is None else None
    return ExportPlan(name, recipe, net, exported, reason, teachers, classes, file_format)


def runs_on(file_format: str) -> dict:
    """What a file needs to run, in the form that its recipe and description hold."""
    if file_format == 'onnx':
        return {'format': 'onnx', 'opset': onnx_writer.OPSET}
    return {'platforms': list(PLATFORMS)}


def cheaper(spec: str, input_shape: tuple[int, ...], num_classes: int) -> tuple[str, str]:
    """The net with or without its bottleneck, whichever has fewer FLOPs a forward pass, and the reason.

    A bottleneck of k units between m and n takes 2k(m + n) FLOPs. Multiplied into the layer after it
    (Ba & Caruana 2014, section 2.3) it takes 2mn, which is fewer only where k is wide.
    """
    if all(layer.kind != 'linear' for layer in grammar.parse(spec)):
        return spec, 'no bottleneck'
    try:
        without = absorb.absorbed(spec)
    except UserError:
        return spec, 'bottleneck kept: a bn or dropout beside it prevents absorbing it'
    kept, other = (counts.count(each, input_shape, num_classes).flops for each in (spec, without))
    if other < kept:
        return without, f'bottleneck absorbed: {other:,} FLOPs an example, {kept:,} with it'
    return spec, f'bottleneck kept: {kept:,} FLOPs an example, {other:,} without it'


def serialize(
    net: Net,
    kind: str,
    variables: Mapping,
    stats: Mapping[str, np.ndarray],
    shape: tuple[int, ...],
    dtype: np.dtype,
    file_format: str = 'jax',
    described: Mapping[str, str] | None = None,
    scale: Scale | None = None,
) -> bytes:
    """`answers(inputs)` of a net, [b, ...] raw to [b, K] float32, for every b.

    Answers are probabilities, or real-valued targets where they have a `scale`.

    kind, stats: as `preprocess.apply` takes them.  variables, stats: on the host.  shape, dtype: of
    an example as the data has it.  described: the metadata of an ONNX model; see `metadata`.

    Raises:
      UserError: more weights than a file holds, or a module of one's own that needs to know b.
    """
    size = sum(leaf.nbytes for leaf in jax.tree.leaves((variables, stats)))
    if size >= LARGEST:
        raise UserError(
            f'{net.name} has {size:,} bytes of weights, and an exported file holds less than '
            f'{LARGEST:,}; export a smaller student'
        )
    if file_format == 'onnx':
        named = described or {}
        return onnx_writer.serialize(net, kind, variables, stats, shape, dtype, named, scale)

    def answers(inputs: jax.Array, variables, stats) -> jax.Array:
        outputs = ensemble.plain_forward(net, kind, variables, {'inputs': stats}, inputs)
        return jax.nn.softmax(outputs) if scale is None else scale.restore(outputs)

    # The arrays are arguments of the function, so that the file holds them once.
    of_each = backend.for_each(answers)
    example = jax.ShapeDtypeStruct((*jax.export.symbolic_shape('b'), *shape), dtype)
    whole = jax.jit(lambda inputs: of_each(inputs, variables, stats))
    try:
        exported = jax.export.export(whole, platforms=PLATFORMS)(example)
    except TypeError as error:
        if isinstance(net, nets.NotationNet):
            raise
        raise UserError(
            f'{net.name} cannot be exported for every number of examples ({first_line(error)}); '
            'let it use x.shape[0], not len(x), and no number of examples in Python'
        ) from error
    return bytes(exported.serialize())


def targets(data: Dataset) -> dict:
    """The part of `export.json` on real-valued targets: names, means, deviations; {} for classes."""
    if data.scale is None:
        return {}
    return {'targets': {'names': list(data.class_names), **data.scale.as_json()}}


def load(path: Path) -> Callable[[np.ndarray], jax.Array]:
    """The `answers(inputs)` of a file that `serialize` wrote, compiled once for a batch size."""
    if path.suffix == '.onnx':
        return onnx_writer.load(path)
    try:
        call = compiled.jit(jax.export.deserialize(bytearray(path.read_bytes())).call)
    except Interrupted:
        raise
    except Exception as error:  # of whatever type this version of jax raises
        raise _unreadable(path, error) from None

    def answers(inputs: np.ndarray) -> jax.Array:
        try:
            return call(inputs)
        except Exception as error:  # the program is read when it is first called
            if 'deserializ' not in str(error).lower():
                raise
            raise _unreadable(path, error) from None

    return answers


def _unreadable(path: Path, error: Exception) -> UserError:
    try:
        written = f'jax {json.loads((path.parent / DESCRIPTION).read_text())["jax"]} wrote it'
    except (OSError, ValueError, KeyError, TypeError):
        written = 'it is damaged, or a newer jax wrote it'
    said = first_line(error)[:100]
    return UserError(
        f'{path} cannot be read by jax {jax.__version__}; {written} ({said}); update jax, or write the '
        'file anew with --phase=export --from=ITS_FOLDER --output=NEW_FOLDER'
    )


def metadata(described: Mapping) -> dict[str, str]:
    """The metadata of an ONNX model, from an export's description: texts, and JSON for all else."""
    kept = {'model': described['model'], 'preprocess': described['preprocess']}
    kept['input'] = json.dumps(described['input'])
    for names in ('classes', 'targets'):
        if described.get(names):
            kept[names] = json.dumps(described[names], ensure_ascii=False)
    return kept


def ask(call: Callable[[np.ndarray], jax.Array], inputs: np.ndarray) -> np.ndarray:
    """Answers [n, K] to inputs [n, ...], `BATCH` at a time, the last batch padded."""
    parts = []
    for start in range(0, len(inputs), BATCH):
        part = inputs[start : start + BATCH]
        missing = BATCH - len(part)
        padded = np.pad(part, [(0, missing), *[(0, 0)] * (part.ndim - 1)], mode='edge')
        parts.append(np.asarray(call(padded))[: len(part)])
    return np.concatenate(parts)


def _cheaper(net: Net, data: Dataset) -> tuple[Net, str]:
    if not isinstance(net, nets.NotationNet):
        return net, 'exported as it is'
    spec, reason = cheaper(net.spec, data.input_shape, data.num_classes)
    return dataclasses.replace(net, spec=spec), reason


def _chosen(plan: Plan, student: str) -> str:
    names = list(plan.students)
    if not names:
        raise UserError('config.students is empty; add the student that is to be exported')
    if student:
        if student not in names:
            raise UserError(
                f'--student={student} is not in config.students; {nearest(student, names)}'
            )
        return student
    choice = [name for name in names if plan.students[name][0].cache] or names
    if len(choice) > 1:
        raise UserError(f'which student? give --student=NAME, one of {", ".join(names)}')
    return choice[0]
