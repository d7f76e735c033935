"""Fits k-means features and an SVM, stage by stage, and writes their decision values on the splits."""

import functools
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np

from mimic_jax.artifacts import digests, store
from mimic_jax.baselines import kmeans_features, stages, svm
from mimic_jax.baselines.plan import BaselinePlan
from mimic_jax.data import batches
from mimic_jax.data.dataset import EVALUATED
from mimic_jax.errors import UserError
from mimic_jax.ops import metrics
from mimic_jax.runtime import sharding
from mimic_jax.training.session import Session

CODE_BYTES = 256 << 20  # of a batch's codes; a device holds some copies of them at a time
BLOCK_BYTES = 1 << 20  # of a file read at a time
CHUNK_BYTES = 64 << 20  # of the features that the SVM's objective takes at a time
TOLERANCE = 1e-4  # of the SVM's gradient, relative to that at zero
ITERATIONS = 1000  # of L-BFGS at most, as in the authors' code

DICTIONARY, FEATURES, SCALE, SECONDS = 'dictionary.npz', 'features.tmp', 'scale.npz', 'seconds.json'


def run(session: Session, baseline: BaselinePlan) -> Path:
    """Writes the artifact `baseline-<id>`: float32 decision values `validation.npy`, `test.npy` [n, K].

    The artifact also keeps the fit, a file a stage: dictionary.npz (whitening and centroids), scale.npz
    (the features' standardisation) and svm_<i>.npz, one a penalty. The penalty whose SVM is right most
    often on the validation split is chosen, the first one of equals; test examples meet only that one.

    A stopped run resumes after the last whole stage. The training features, [N, 4K] float32, lie on
    disk until the SVMs are done; within them a run resumes after the last whole batch.
    """

    def build(folder: Path) -> dict:
        clock = stages.Clock(folder / SECONDS)
        dictionary = _fit_dictionary(folder, session, baseline)
        clock.lap()
        machines = _fit_machines(folder, session, baseline, dictionary, clock)
        scale = stages.load(folder / SCALE)
        chosen, facts = _evaluate(folder, session, baseline, dictionary, scale, machines)
        clock.lap()
        return {
            'penalty': baseline.settings.penalties[chosen],
            'penalties': facts,
            'seconds': round(clock.seconds, 3),
        }

    return store.make(session.workdir, baseline.recipe, build, session.progress.say)


def _fit_dictionary(folder: Path, session: Session, baseline: BaselinePlan) -> dict:
    settings = baseline.settings

    def fit() -> dict:
        images, size, seed = session.data.inputs, settings.patch_size, settings.seed
        patches = kmeans_features.sample_patches(
            images, baseline.examples, size, settings.patches, seed
        )
        return kmeans_features.fit_dictionary(
            patches, settings.centroids, settings.iterations, seed
        )

    name = f'{baseline.name}, k-means'
    with session.progress.task(name, 'k-means', 1, baseline.clustering) as bar:
        dictionary = stages.stage(folder / DICTIONARY, fit)
        bar.advance()
    return jax.device_put(dictionary, sharding.replicated(session.mesh))


def _fit_machines(
    folder: Path, session: Session, baseline: BaselinePlan, dictionary: dict, clock: stages.Clock
) -> list[dict]:
    """An SVM a penalty: {weights [F + 1, K], iterations, objective, gradient}."""
    penalties = baseline.settings.penalties
    paths = [folder / f'svm_{number}.npz' for number in range(len(penalties))]
    if not all(stages.is_whole(path) for path in (*paths, folder / SCALE)):
        features = _training_features(folder / FEATURES, session, baseline, dictionary, clock)
        scale = stages.stage(folder / SCALE, lambda: kmeans_features.fit_scale(features))
        placed = _placed(session, baseline, features, scale)
        for path, penalty in zip(paths, penalties, strict=True):
            stages.stage(path, functools.partial(_fit_machine, session, baseline, placed, penalty))
            clock.lap()
    (folder / FEATURES).unlink(missing_ok=True)
    return [stages.load(path) for path in paths]


def _training_features(
    path: Path, session: Session, baseline: BaselinePlan, dictionary: dict, clock: stages.Clock
) -> np.ndarray:
    """The features [N, F] float32, memory-mapped from `path`, which grows by whole batches.

    A file that has changed since an earlier run wrote it is written anew.
    """
    examples, size = baseline.examples, _batch_size(session, baseline)
    shape = (len(examples), 4 * baseline.settings.centroids)
    row_bytes = shape[1] * np.dtype(np.float32).itemsize
    done, check = _rows_written(path, row_bytes)
    if done % size and done < shape[0]:  # it was written in batches of another size
        done, check = 0, 0
    with path.open('ab') as file, _coding(session, baseline, 'training', shape[0], done) as bar:
        file.truncate(done * row_bytes)
        call = functools.partial(_features, baseline, dictionary)
        for part in _in_batches(session, call, examples[done:], size):
            content = np.ascontiguousarray(part).data.cast('B')
            file.write(content)
            file.flush()
            done, check = done + len(part), zlib.crc32(content, check)
            stages.record(path, f'{done} rows, CRC-32 {check}')
            bar.advance(len(part))
            clock.lap()
    return np.memmap(path, np.float32, 'r', shape=shape)


def _rows_written(path: Path, row_bytes: int) -> tuple[int, int]:
    """The number of whole rows that `path` holds unchanged, and their CRC-32; (0, 0) if changed."""
    entry = digests.read(path.parent).get(path.name, '')
    first = entry.partition(' ')[0]
    rows, check, left = int(first) if first.isdecimal() else 0, 0, 0
    if rows and path.exists():
        with path.open('rb') as file:
            left = rows * row_bytes
            while left and (block := file.read(min(left, BLOCK_BYTES))):
                check, left = zlib.crc32(block, check), left - len(block)
    whole = not left and entry == f'{rows} rows, CRC-32 {check}'
    return (rows, check) if whole else (0, 0)


def _placed(session: Session, baseline: BaselinePlan, features: np.ndarray, scale: dict):
    """Standardised features [S, R, F] and labels [S, R] on the device, the last chunk padded."""
    count, width = features.shape
    rows = session.placement.padded(max(1, min(count, CHUNK_BYTES // (4 * width))))
    inputs = np.zeros((-(-count // rows) * rows, width), np.float32)
    for start in range(0, count, rows):
        part = slice(start, min(start + rows, count))
        inputs[part] = kmeans_features.standardise(features[part], scale)
    labels = np.full(len(inputs), -1, np.int32)
    labels[:count] = session.data.labels[baseline.examples]
    split = sharding.batch_sharding(session.mesh, leading=1)
    return (
        jax.device_put(inputs.reshape(-1, rows, width), split),
        jax.device_put(labels.reshape(-1, rows), split),
    )


def _fit_machine(session: Session, baseline: BaselinePlan, placed, penalty: float) -> dict:
    what = f'{baseline.name}, SVM steps, penalty {penalty:g}'
    weights, facts = svm.fit(
        *placed,
        session.data.num_classes,
        # C multiplies the mean of the squared hinges in the authors' code, their sum in liblinear's.
        penalty / len(baseline.examples),
        tolerance=TOLERANCE,
        iterations=ITERATIONS,
        watch=functools.partial(session.progress.count, what),
    )
    session.progress.count(what, ITERATIONS, ITERATIONS)  # most fits need fewer
    session.progress.say(f'{what}: {facts["iterations"]}, gradient down to {facts["gradient"]:.1e}')
    return {'weights': np.asarray(weights), **facts}


def _evaluate(
    folder: Path,
    session: Session,
    baseline: BaselinePlan,
    dictionary: dict,
    scale: dict,
    machines: list[dict],
) -> tuple[int, list[dict]]:
    """Writes both splits' decision values; returns the chosen SVM's number, and facts of each SVM."""
    size = _batch_size(session, baseline)

    def values(split: str, weights: np.ndarray) -> np.ndarray:
        def call(images):
            return _decide(weights, scale, _features(baseline, dictionary, images))

        examples, parts = session.data.splits[split], []
        with _coding(session, baseline, split, len(examples)) as bar:
            for part in _in_batches(session, call, examples, size):
                parts.append(part)
                bar.advance(len(part))
        found = np.concatenate(parts)
        if not np.isfinite(found).all():
            raise UserError(
                f'{baseline.name} gives values that are not finite on the split {split}, in {folder}; '
                'lower its penalties'
            )
        return found

    validation, test = EVALUATED
    every = values(validation, np.stack([machine['weights'] for machine in machines]))
    labels = session.data.labels[session.data.splits[validation]]
    accuracies = [metrics.accuracy(every[:, i], labels) for i in range(len(machines))]
    chosen = int(np.argmax(accuracies))
    np.save(folder / f'{validation}.npy', every[:, chosen])
    np.save(folder / f'{test}.npy', values(test, machines[chosen]['weights'][None])[:, 0])
    facts = [
        {
            'penalty': penalty,
            'validation_accuracy': accuracy,
            'iterations': int(machine['iterations']),
            'objective': float(machine['objective']),
            'gradient': float(machine['gradient']),
        }
        for penalty, accuracy, machine in zip(
            baseline.settings.penalties, accuracies, machines, strict=True
        )
    ]
    return chosen, facts


@jax.jit
def _decide(weights, scale, features):
    """Decision values [B, P, K] of P SVMs with weights [P, F + 1, K]."""
    inputs = kmeans_features.standardise(features, scale)
    return jax.vmap(svm.decision, in_axes=(0, None), out_axes=1)(weights, inputs)


def _features(baseline: BaselinePlan, dictionary: dict, images) -> jax.Array:
    return kmeans_features.features(images, dictionary, baseline.settings.patch_size)


def _batch_size(session: Session, baseline: BaselinePlan) -> int:
    positions = kmeans_features.positions(session.data.input_shape, baseline.settings.patch_size)
    image_bytes = 4 * positions * baseline.settings.centroids
    return max(1, min(CODE_BYTES // image_bytes, session.run.evaluation_batch_size))


def _in_batches(session: Session, call: Callable, examples, size: int) -> Iterator[np.ndarray]:
    """`call(images)` of the examples, batch by batch on the host; the device works one batch ahead."""
    split = sharding.batch_sharding(session.mesh)
    under_way = None
    for ids in batches.in_order(examples, size, session.placement.padded(size)):
        images = jax.device_put(session.data.inputs[ids['index']], split)
        before, under_way = under_way, (call(images), ids['mask'] > 0)
        if before:
            yield np.asarray(before[0])[before[1]]
    if under_way:
        yield np.asarray(under_way[0])[under_way[1]]


def _coding(session: Session, baseline: BaselinePlan, what: str, count: int, done: int = 0):
    name = f'{baseline.name}, {what} features'
    return session.progress.task(name, 'features', count, baseline.coding, done)
