"""Sentences on a report's data that its reader needs."""

from collections.abc import Iterator

from mimic_jax.runtime.files import few


def sentences(report: dict) -> list[str]:
    """The caches' warnings, the data set's own remarks, the form of the inputs, the order of the classes,
    and how many unlabelled examples were left out."""
    data = report.get('data', {})
    sentences = [*report.get('warnings', ()), *data.get('remarks', ()), *_inputs(data)]
    if data.get('unlabelled_removed'):
        sentences.append(
            f'{data["unlabelled_removed"]:,} unlabelled images equal a validation or test image and '
            'were left out.'
        )
    return sentences


def _inputs(data: dict) -> Iterator[str]:
    """The form of raw inputs, in which a student must be given them, and the order of the classes."""
    found = data.get('inputs')
    if not found:
        return
    shape = ' × '.join(map(str, found['shape']))
    scaled = f' ({data["scaled"]})' if data.get('scaled') else ''
    yield (
        f'Raw inputs: {shape} {found["dtype"]}, from {found["least"]:g} to {found["largest"]:g} in '
        f'the first {found["looked_at"]:,} training examples{scaled}.'
    )
    if found.get('classes'):
        yield f'Classes in order: {few(found["classes"], 20)}.'
    units = found.get('scale', {'mean': (), 'deviation': ()})
    named = zip(found.get('targets', ()), units['mean'], units['deviation'], strict=True)
    for name, mean, deviation in named:
        yield f'Target {name}: mean {mean:.6g}, deviation {deviation:.6g} over the training examples.'
