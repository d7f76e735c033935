"""The report's figures, as PNG files."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from mimic_jax.data import batches, mixing, preprocess, views
from mimic_jax.mimic.plan import Plan
from mimic_jax.reporting import curve_figures, curves, pictures, plots
from mimic_jax.reporting.answers import Answers
from mimic_jax.reporting.part import Searched
from mimic_jax.training import metrics_log
from mimic_jax.training.plan import NetPlan
from mimic_jax.training.session import Session

SHOWN = 8  # examples in the sheet of views, and views of each


def draw(
    answers: Answers, report: dict, folder: Path, searched: Searched | None = None
) -> list[str]:
    """Draws all figures into `folder`; returns their file names.  report: what report.json holds."""
    import matplotlib  # a second to import, needed for the report alone

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    plt.rcParams.update({'font.size': 9, 'axes.spines.top': False, 'axes.spines.right': False})
    session, plan, settings = answers.session, answers.plan, answers.settings
    names = []
    for name, plot in (
        ('accuracy.png', curves.training(answers)),
        ('agreement.png', curves.by_agreement(report['rows'])),
        ('work.png', curves.by_work(answers, report)),
    ):
        figure = plots.figure(plot)
        if figure:
            pictures.save(figure, folder / name)
            names.append(name)
    for name, height, picture in (
        ('time.png', 4, lambda axes: settings.by_time and _by_time(axes, answers)),
        (
            'members.png',
            4,
            lambda axes: curve_figures.by_members(axes, report.get('by_members', {}), answers.what),
        ),
        ('whitened.png', 1.6, lambda axes: _whitened(axes, session)),
        ('views.png', 6, lambda axes: _views(axes, session, plan)),
    ):
        figure, axes = plt.subplots(figsize=(6.4, height), dpi=120, layout='constrained')
        if picture(axes):
            pictures.save(figure, folder / name)
            names.append(name)
        plt.close(figure)
    if curve_figures.draw_curves(plt, settings, report['rows'], folder / 'curves.png'):
        names.append('curves.png')
    for name, figure in itertools.chain(answers.part.draw(), searched.draw() if searched else ()):
        pictures.save(figure, folder / name)
        names.append(name)
        plt.close(figure)
    return names


def _by_time(axes, answers: Answers) -> bool:
    """Validation score against seconds of training, both means over seeds (BC, section 2.3)."""
    session = answers.session
    for nets in answers.plan.students.values():
        curve = metrics_log.validation_curve(_folders(session, nets))
        times = metrics_log.validation_times(_folders(session, nets))
        means = [100 * np.mean(values) for values in curve.values()]
        axes.plot([times[step] for step in curve], means, label=_taught(nets[0]))
    axes.set(xlabel='seconds of training', ylabel=f'validation {answers.what}, %')
    if axes.lines:
        axes.legend(frameon=False, loc='lower right')
    return bool(axes.lines)


def _folders(session: Session, nets: Sequence[NetPlan]) -> list[Path]:
    return [session.workdir / net.recipe.name for net in nets]


def _taught(net: NetPlan) -> str:
    return f'{net.model} {f"mimicking {net.cache.name}" if net.cache else "on labels"}'


def _whitened(axes, session: Session) -> bool:
    """The first ten validation images and, below them, the whitened images that the nets see."""
    data = session.data
    if data.preprocess != 'gcn_zca' or data.input_shape[-1] not in (1, 3):
        return False
    raw = np.asarray(data.inputs[data.splits['validation'][:10]])
    white = np.asarray(preprocess.apply(data.preprocess, session.constants['inputs'], raw))
    grid = np.concatenate([_strip(raw / np.float32(255)), _strip(_to_unit_range(white))])
    axes.imshow(np.broadcast_to(grid, (*grid.shape[:2], 3)), interpolation='nearest')
    middles = len(grid) * np.array([1, 3]) / 4 - 0.5
    axes.set(xticks=[], yticks=middles, yticklabels=['raw', 'whitened'])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return True


def _views(axes, session: Session, plan: Plan) -> bool:
    """Eight training images, each followed by its first eight views, a logit cache's or a net's."""
    data = session.data
    caches, nets = list(plan.caches.values()), list(plan.nets())
    if not (caches or nets):
        return False
    # A net trained on labels draws its views from its own seed.
    settings = caches[0].views if caches else nets[0].task.views
    seed = settings.seed if caches else nets[0].seed
    if views.is_identity(settings) or data.input_shape[-1] not in (1, 3):
        return False
    index = data.splits['train'][:SHOWN]
    raw = np.asarray(data.inputs[index])
    call = jax.jit(views.of_batch, static_argnums=2)
    seen, examples = [], caches[0].examples if caches else nets[0].partners
    for view in range(SHOWN):
        ids = [{'index': index, 'view': np.int32(view)}]
        (ids,) = mixing.with_partners(ids, settings, seed, view, examples)
        seen.append(np.asarray(call(batches.gather(data.arrays, ids), seed, settings)))
    sheet = np.stack([raw, *seen], axis=1) / np.float32(255)
    grid = np.concatenate([_strip(row) for row in sheet])
    axes.imshow(np.broadcast_to(grid, (*grid.shape[:2], 3)), interpolation='nearest')
    side = grid.shape[1] / (1 + SHOWN)
    axes.set(
        xticks=side * (0.5 + np.arange(1 + SHOWN)) - 0.5,
        xticklabels=['raw', *(f'view {view}' for view in range(SHOWN))],
        yticks=[],
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return True


def _to_unit_range(images: np.ndarray) -> np.ndarray:
    """Images [N, H, W, C], each scaled so that its least value is 0 and its largest is 1."""
    images = images - images.min(axis=(1, 2, 3), keepdims=True)
    return images / np.maximum(images.max(axis=(1, 2, 3), keepdims=True), 1e-12)


def _strip(images: np.ndarray) -> np.ndarray:
    """Images [N, H, W, C] side by side, with a white pixel around each."""
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1)
    return np.concatenate(list(framed), axis=1)
