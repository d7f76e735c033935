"""What a reader of a report has to know about its data, in sentences."""

from collections.abc import Iterator

from mimic_jax.runtime.files import few


def sentences(report: dict) -> list[str]:
    """Sentences that a reader needs on the data: what inputs and classes are, one on each kind of
    examples that were left out, and one on each figure that does not come from the whole TIMIT."""
    data = report.get('data', {})
    sentences = [*report.get('warnings', ()), *data.get('not_timits', ()), *_inputs(data)]
    if data.get('unlabelled_removed'):
        sentences.append(
            f'{data["unlabelled_removed"]:,} unlabelled images equal a validation or test image and '
            'were left out.'
        )
    if data.get('bad_utterances'):
        sentences.append(f'Bad utterances left out: {data["bad_utterances"]:,}.')
    return sentences


def _inputs(data: dict) -> Iterator[str]:
    """What raw inputs are, which a student is to be given, and the order of the classes."""
    found = data.get('inputs')
    if not found:
        return
    shape = ' × '.join(map(str, found['shape']))
    scaled = f' ({data["scaled"]})' if data.get('scaled') else ''
    yield (
        f'Raw inputs: {shape} {found["dtype"]}, from {found["least"]:g} to {found["largest"]:g} in '
        f'the first {found["looked_at"]:,} training examples{scaled}.'
    )
    if found['classes']:
        yield f'Classes in order: {few(found["classes"], 20)}.'
