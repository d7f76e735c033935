"""What an accelerator makes of this code, stage by stage, with a table at the end.

    python benchmarks/accelerator.py --workdir=runs/accelerator --json=results/accelerator.json

utilisation   model FLOP utilisation of 128c5-p3/2s-1200L-30k in bfloat16, batches of 4,096, by a product
calls         a step's time by the number of steps that one call of the device makes
throughput    images a second: a teacher's training, the ensemble's forward passes, a student on logits
profile       what a teacher's and a student's step spend their time on, as a picture beside the table
recipe        seconds until a batch normalised CNN has 94% of 5,000 validation images right
student       SNN-ECNN-MIMIC-30k from nothing to its report (experiments/cifar_student.py)

Each stage is written to the workdir when it is done, and found there by the next start; the last two
go on from their checkpoints as well, and their seconds are those of all starts. They read CIFAR-10 from
TFDS. `--stages` names some of them. `--scale=tiny` tries the program itself, on any machine: small nets,
few steps, and digits instead of CIFAR-10.
"""

import argparse
import dataclasses
import io
import json
import statistics
import time
from pathlib import Path

import config_files
import jax
import jax.numpy as jnp
import numpy as np
import profiles
import record

from mimic_jax import pipeline
from mimic_jax.data import batches
from mimic_jax.data.dataset import Dataset
from mimic_jax.data.view_settings import Views
from mimic_jax.models import nets
from mimic_jax.models.counts import count
from mimic_jax.ops.text import aligned
from mimic_jax.runtime import allocator, compiled, files, sharding
from mimic_jax.runtime.progress import Progress
from mimic_jax.runtime.settings import Run
from mimic_jax.training import calls as jitted
from mimic_jax.training.loss_settings import Loss
from mimic_jax.training.metrics_log import validation_curve, validation_times
from mimic_jax.training.session import Session
from mimic_jax.training.settings import Train
from mimic_jax.training.train_step import Task, create_train_state, forward, train_step

IMAGE, CLASSES = (32, 32, 3), 10
VIEWS = Views(mirror=True, shift=4, padding='reflect')
TURNS, TARGET = 5, 0.94


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large everything is."""

    student: str
    teacher: str
    members: int
    batch: int  # of the utilisation's step
    matrix: int  # side of the product beside it
    dtype: str
    steps: int  # that a turn times
    calls: tuple[int, ...]
    examples: int  # of an epoch whose steps are made by calls
    experiment: str
    recipe: str
    epochs: int
    recipe_batch: int
    split: tuple[int, int]  # its training and validation images


WHOLE = Scale(
    student='128c5-p3/2s-1200L-30k',
    teacher='128c5-p3/2-128c5-p3/2-128c5-p3/2-1k-d.5',
    members=4,
    batch=4096,
    matrix=8192,
    dtype='bfloat16',
    steps=20,
    calls=(1, 4, 16, 64),
    examples=25_600,
    experiment='cifar_student',
    recipe=(
        '64c3-bn-64c3-bn-p2-128c3-bn-128c3-bn-p2-256c3-bn-256c3-bn-256c3-bn-p2'
        '-512c3-bn-512c3-bn-512c3-bn-p2'
    ),
    epochs=40,
    recipe_batch=512,
    split=(45_000, 5_000),
)
TINY = Scale(
    student='8c5-p4-16L-64',
    teacher='8c3-bn-p4-32-d.5',
    members=2,
    batch=32,
    matrix=256,
    dtype='float32',
    steps=2,
    calls=(1, 4),
    examples=256,
    experiment='digits_student',
    recipe='16c3-bn-p2-32c3-bn-p2',
    epochs=10,
    recipe_batch=50,
    split=(200, 50),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--workdir', type=Path, default=Path('runs') / 'accelerator')
    parser.add_argument('--scale', choices=('whole', 'tiny'), default='whole')
    parser.add_argument('--stages', nargs='*', default=list(STAGES), choices=list(STAGES))
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    allocator.keep_freed_memory()
    folder = arguments.workdir / arguments.scale
    scale = {'whole': WHOLE, 'tiny': TINY}[arguments.scale]
    rows = [row for name in arguments.stages for row in stage(name, scale, folder)]
    print(table(rows))
    if arguments.json:
        record.save(arguments.json, rows, scale=arguments.scale)


def stage(name: str, scale: Scale, folder: Path) -> list[dict]:
    """The rows of a stage, from its file where an earlier start finished it."""
    file = folder / f'{name}.json'
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        rows = STAGES[name](scale, folder)
        files.write_atomically(file, json.dumps(rows, indent=1))
        print(f'{name}: done in {time.monotonic() - start:.0f} s', flush=True)
    return json.loads(file.read_text())


def row(name: str, value: float, unit: str) -> dict:
    return {'name': name, 'value': float(f'{value:.4g}'), 'unit': unit}


def table(rows: list[dict]) -> str:
    body = [[each['name'], f'{each["value"]:,.10g}', each['unit']] for each in rows]
    return aligned([['', 'measured', 'unit'], *body])


def utilisation(scale: Scale, folder: Path) -> list[dict]:
    counts = count(scale.student, IMAGE, CLASSES)
    first = next(each.flops for each in counts.rows if each.flops)  # no gradient of the images
    flops = scale.batch * (3 * counts.flops - first)
    step = flops / step_seconds(scale, scale.student, scale.batch)
    matrix = jnp.ones((scale.matrix, scale.matrix), scale.dtype)
    multiply = jax.jit(lambda left, right: left @ right)
    peak = 2 * scale.matrix**3 / seconds_of(lambda: multiply(matrix, matrix), scale.steps)
    batch = f'{scale.student}, {scale.dtype}, batch {scale.batch:,}'
    return [
        row(f'{batch}, step', step / 1e12, 'TFLOP/s'),
        row(f'matrix product of side {scale.matrix:,}, {scale.dtype}', peak / 1e12, 'TFLOP/s'),
        row(f'{batch}, utilisation', step / peak, ''),
    ]


def calls(scale: Scale, folder: Path) -> list[dict]:
    random = np.random.default_rng(0)
    inputs = random.integers(0, 256, (scale.examples, *IMAGE), dtype=np.uint8)
    labels = random.integers(0, CLASSES, scale.examples).astype(np.int32)
    index = np.arange(scale.examples, dtype=np.int32)
    splits = {'train': index, 'validation': index[:0], 'test': index[:0]}
    data = Dataset(inputs, labels, splits, CLASSES, '', 'image')
    mesh = sharding.make_mesh(devices=jax.devices()[:1])
    task = task_of(scale, scale.student, 'cross_entropy')
    rows = []
    for size in scale.calls:
        run, progress = Run(placement='device', steps_per_call=size), Progress(stream=io.StringIO())
        session = Session(folder, data, run, progress, mesh)
        call = jitted.train(mesh, False)
        state = create_train_state(task, IMAGE, 0, 0, {'inputs': {}})
        seconds = []
        for epoch in range(TURNS + 1):
            begin = time.perf_counter()
            ids = batches.epoch(index, task.train.batch_size, 0, epoch)
            for steps, given in session.placement.epoch(list(ids), epoch, {}):
                state, _ = call(state, given, steps)
            jax.block_until_ready(state)
            seconds.append(time.perf_counter() - begin)
        steps = batches.steps(scale.examples, task.train.batch_size)
        milliseconds = 1e3 * statistics.median(seconds[1:]) / steps
        rows.append(row(f'{scale.student}, steps a call: {size}', milliseconds, 'ms a step'))
    return rows


def throughput(scale: Scale, folder: Path) -> list[dict]:
    size = Train().batch_size
    variables = create_train_state(
        task_of(scale, scale.teacher, 'cross_entropy'), IMAGE, 0, 0, {'inputs': {}}
    ).variables
    net, given = nets.of_spec(scale.teacher, CLASSES, scale.dtype), batch_of(500)
    ask = compiled.jit(forward, static_argnums=(0, 1, 2))
    how = net, 'image', VIEWS, variables, {'inputs': {}}, 0, given
    rates = {
        f'{scale.teacher}, training': size / step_seconds(scale, scale.teacher, size),
        f'{scale.teacher}, logits of {scale.members}': 500
        / seconds_of(lambda: ask(*how), scale.steps)
        / scale.members,
        f'{scale.student}, on logits': size / step_seconds(scale, scale.student, size),
    }
    return [row(name, rate, 'images/s') for name, rate in rates.items()]


def profile(scale: Scale, folder: Path) -> list[dict]:
    rows = []
    for spec in (scale.teacher, scale.student):
        step = stepping(scale, spec, Train().batch_size)
        found = profiles.by_operation(step, scale.steps)
        profiles.draw(
            found, f'{spec}: ms a step by operation', folder / f'{spec.replace("/", "_")}.png'
        )
        busiest = max(found, key=found.get)
        rows.append(row(f'{spec}, busiest operation: {busiest}', found[busiest], 'ms a step'))
    return rows


def recipe(scale: Scale, folder: Path) -> list[dict]:
    config = experiment(scale)
    member = next(iter(config.members.values()))
    member.model, member.seed, member.subset = scale.recipe, 0, 1.0
    member.train.update(epochs=scale.epochs, batch_size=scale.recipe_batch, dtype=scale.dtype)
    member.train.update(learning_rate=0.2, schedule='cosine', warmup=0.2, weight_decay=5e-4)
    config.data.train, config.data.validation = scale.split
    config.members, config.logits, config.students = {'cnn': member}, {}, {}
    config.report = {'order': ('cnn',), 'rows': {'cnn': {'source': 'members.cnn'}}}
    report = run(config, folder, 'recipe')
    (name,) = report['costs']['teacher']['artifacts']
    return [
        *validated(scale.recipe, folder / name),
        row(f'{scale.recipe}, test at the end', 100 * report['rows'][0]['mean'], '%'),
    ]


def validated(name: str, run: Path) -> list[dict]:
    """Seconds to TARGET on validation, where a run reached it, and its best accuracy there."""
    curve, seconds = (read([run]) for read in (validation_curve, validation_times))
    best = row(
        f'{name}, best on validation', 100 * max(accuracy for (accuracy,) in curve.values()), '%'
    )
    right = [seconds[step] for step, (accuracy,) in curve.items() if accuracy >= TARGET]
    return [
        *(row(f'{name}, to {TARGET:.0%} on validation', first, 's') for first in right[:1]),
        best,
    ]


def student(scale: Scale, folder: Path) -> list[dict]:
    report = run(experiment(scale), folder, scale.experiment)
    rows = [
        row(f'{scale.experiment}, {phase}', cost['seconds'], 's')
        for phase, cost in report['costs'].items()
    ]
    return [
        *rows,
        row(f'{scale.experiment}, in all', report['seconds'], 's'),
        *(
            row(f'{scale.experiment}, {each["name"]}', 100 * each['mean'], '% right')
            for each in report['rows']
        ),
    ]


def experiment(scale: Scale):
    return config_files.load(config_files.EXPERIMENTS / f'{scale.experiment}.py')


def run(config, folder: Path, name: str) -> dict:
    """The report of an experiment, which goes on where an earlier start left it."""
    pipeline.run(config, workdir=folder, experiment=name, command=record.command())
    return json.loads((folder / name / 'report.json').read_text())


def task_of(scale: Scale, spec: str, loss: str) -> Task:
    training = Train(learning_rate=1e-4, dtype=scale.dtype)
    net = nets.of_spec(spec, CLASSES, scale.dtype)
    return Task(net, 'image', VIEWS, Loss(kind=loss), training, 10**6)


def batch_of(size: int) -> dict:
    """Made-up images on the device."""
    random = np.random.default_rng(0)
    return jax.device_put(
        {
            'inputs': random.integers(0, 256, (size, *IMAGE), dtype=np.uint8),
            'labels': random.integers(0, CLASSES, size).astype(np.int32),
            'teacher_logits': random.normal(size=(size, CLASSES)).astype(np.float16),
            'index': np.arange(size, dtype=np.int32),
            'mask': np.ones(size, np.float32),
            'view': np.int32(0),
        }
    )


def stepping(scale: Scale, spec: str, size: int):
    """A call that makes one step on logits and returns arrays that the device is still computing."""
    state = create_train_state(task_of(scale, spec, 'logits'), IMAGE, 0, 0, {'inputs': {}})
    step, batch = compiled.jit(train_step, donate_argnums=0), batch_of(size)

    def one():
        nonlocal state
        state, sums = step(state, batch)
        return sums

    return one


def step_seconds(scale: Scale, spec: str, size: int) -> float:
    return seconds_of(stepping(scale, spec, size), scale.steps)


def seconds_of(call, steps: int) -> float:
    """Seconds of a call: the median over turns, in each of which `steps` calls are sent off."""
    for _ in range(3):  # compiles
        jax.block_until_ready(call())
    seconds = []
    for _ in range(TURNS):
        begin = time.perf_counter()
        for _ in range(steps):
            last = call()
        jax.block_until_ready(last)
        seconds.append((time.perf_counter() - begin) / steps)
    return statistics.median(seconds)


STAGES = {
    'utilisation': utilisation,
    'calls': calls,
    'throughput': throughput,
    'profile': profile,
    'recipe': recipe,
    'student': student,
}

if __name__ == '__main__':
    main()
