"""The report's figures of speech: the confusions between phones, and one decoded utterance."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mimic_jax.speech import decoded_files, fbank, per, phones
from mimic_jax.speech.dataset import SpeechDataset
from mimic_jax.speech.decode_plan import DecodePlan
from mimic_jax.speech.decoding import FRAME_SECONDS
from mimic_jax.training.session import Session

FRAME_WIDTH = 3  # pixels across for a frame; a mel band has one down, so windows are about square
# Captions by file name.
CAPTIONS = {
    'confusions.png': 'Which phones are taken for which.',
    'utterance.png': 'A test utterance: mel bands, its labels, and the phones that were decoded.',
}


def draw(
    session: Session, decodings: Mapping[str, Sequence[DecodePlan]]
) -> Iterator[tuple[str, object]]:
    """(name, figure) of each figure, for the first source whose phones are decoded.

    Ensembles come first; a student gives its first seed. The caller closes the figures.
    """
    sources = sorted(decodings, key=lambda source: not source.startswith('logits.'))
    if not sources:
        return
    import matplotlib.pyplot as plt

    decoding = decodings[sources[0]][0]
    name = sources[0].partition('.')[2]
    utterances = decoded_files.read_split(session.workdir / decoding.recipe.name, 'test')
    figure, axes = plt.subplots(figsize=(8, 7.6), dpi=120, layout='constrained')
    _confusions(figure, axes, utterances, name)
    yield 'confusions.png', figure
    figure, axes = plt.subplots(
        3,
        1,
        figsize=(9.6, 4.2),
        dpi=120,
        layout='constrained',
        sharex=True,
        height_ratios=(6, 1, 1),
    )
    _utterance(axes, session.data, utterances, name)
    yield 'utterance.png', figure


def window(frames: np.ndarray) -> np.ndarray:
    """A frame in its context, [T, 41, 3], as an image: mel bands, low ones below, time to the right."""
    return frames[:, 1:, :1].transpose(1, 0, 2)[::-1].repeat(FRAME_WIDTH, axis=1)


def confusions(utterances: list[dict]) -> np.ndarray:
    """[40, 40] counts of test tokens: reference classes down, decoded ones across.

    The last row counts insertions, the last column deletions; by unit costs.
    """
    alignments = [
        per.unit_alignment(*(_folded(utterance[side]) for side in ('reference', 'decoded')))
        for utterance in utterances
    ]
    return per.confusion_matrix(alignments, len(phones.CLASSES))


def segments(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The phones of a path of targets, and the frame at which each starts: [L] int each.

    targets: [T] states. A path of targets may leave out parts of a phone, unlike a decoded one. A phone
    starts where the phone's number changes or its part falls back.
    """
    phone, part = phones.phone_and_part(np.asarray(targets))
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(phone) != 0) | (np.diff(part) < 0)]))
    return phone[starts], starts


def _confusions(figure, axes, utterances: list[dict], name: str) -> None:
    from matplotlib.colors import PowerNorm

    matrix = confusions(utterances)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # Most mistakes are a few per cent; a square-root scale makes them visible.
    image = axes.imshow(100 * share, cmap='magma_r', norm=PowerNorm(0.5, vmin=0, vmax=100))
    labels = list(phones.CLASSES)
    places = range(len(labels) + 1)
    axes.set_xticks(places, [*labels, 'deleted'], rotation=90, fontsize=7)
    axes.set_yticks(places, [*labels, 'inserted'], fontsize=7)
    axes.set(xlabel='decoded', ylabel='reference', title=f'{name}: test tokens, % of their row')
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.7, ticks=(0, 1, 5, 20, 50, 100))


def _utterance(axes, data: SpeechDataset, utterances: list[dict], name: str) -> None:
    """The test utterance of median length: log-mel bands, the labels, the decoded phones."""
    positions = data.utterances['test']
    lengths = [stop - start for start, stop in data.speech.runs(positions)]
    chosen = int(np.argsort(lengths, kind='stable')[len(lengths) // 2])
    utterance = utterances[chosen]
    rows = slice(*data.speech.runs(positions[chosen : chosen + 1])[0])
    static = np.asarray(data.speech.frames[rows]).reshape(-1, fbank.BANDS, fbank.CHANNELS)[..., 0]
    seconds = lengths[chosen] * FRAME_SECONDS
    picture, reference, decoded = axes
    picture.imshow(
        static[:, 1:].T, origin='lower', aspect='auto', cmap='magma', extent=(0, seconds, 0, 40)
    )
    counts = utterance['unit']
    picture.set(
        ylabel='mel band',
        title=f'{utterance["key"]} decoded by {name}: {counts.errors} errors in '
        f'{counts.reference} phones',
    )
    found = phones.numbers(utterance['decoded'].split()), np.array(utterance['starts'], np.int64)
    _strip(reference, 'labels', *segments(data.speech.targets[rows]), lengths[chosen])
    _strip(decoded, 'decoded', *found, lengths[chosen])
    decoded.set(xlabel='seconds', xlim=(0, seconds))


def _strip(axes, title: str, sequence: np.ndarray, starts: np.ndarray, frames: int) -> None:
    """Writes each phone's class in the middle of its frames, with lines between phones."""
    ends = np.append(starts[1:], frames)
    for number, start, end in zip(sequence, starts, ends, strict=True):
        place = phones.CLASS_OF_PHONE[number]
        text = phones.PHONES[number] if place == phones.DELETED else phones.CLASSES[place]
        middle = FRAME_SECONDS * (start + end) / 2
        axes.text(middle, 0.5, text, ha='center', va='center', fontsize=6)
        axes.axvline(FRAME_SECONDS * start, color='grey', linewidth=0.5)
    axes.set(ylim=(0, 1), yticks=[])
    axes.set_ylabel(title, rotation=0, ha='right', va='center')
    axes.spines[:].set_visible(False)


def _folded(names: str) -> list[int]:
    return phones.fold_numbers(phones.numbers(names.split())).tolist()
