"""The papers' notation for nets: '128c5-p3/2-1200L-30k' read into a tuple of layers.

Tokens are joined by `-`. The output layer is implied, linear, and has no token.

    128c5, 150c15x8   convolution, stride 1, then ReLU: filters, kernel (first x second axis);
                      SAME padding, or none when the token ends in `v`
    p2, p3/2, p1x6/1x2  max pool: window/stride, the stride being the window when left out;
                      no padding, or SAME when the token ends in `s`; `ap` average, `sp` stochastic
    lrn               local response normalisation
    16lc3             locally connected (unshared kernels), SAME padding, then ReLU
    1200L             linear layer: the bottleneck
    30k, 2000, 1kfc   fully connected layer, then ReLU (`k` is thousand)
    d.5               dropout with that rate on what stands before it; leading, on the input
    bn                batch normalisation of the layer before it, ahead of that layer's ReLU
    76c3^2            the token twice
    ?, ?*.6           a width to be solved, and a multiple of it

The empty spec is softmax regression: what is left of '250L' when its bottleneck is absorbed.
"""

import dataclasses
import re
from fractions import Fraction

from mimic_jax.errors import UserError

MAP_KINDS = ('conv', 'local', 'max_pool', 'average_pool', 'stochastic_pool', 'lrn')
POOL_KINDS = ('max_pool', 'average_pool', 'stochastic_pool')
PARAMETER_KINDS = ('conv', 'local', 'linear', 'hidden')
LARGEST = 10**12
MOST_LAYERS = 1000

_DECIMAL = r'(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)'
_WIDTH = rf'(?P<width>{_DECIMAL}k?|\?(?:\*{_DECIMAL})?)'
_SIZE = '[0-9]+(?:x[0-9]+)?'
_POOL = rf'p(?P<window>{_SIZE})(?:/(?P<stride>{_SIZE}))?(?P<same>s?)'
_TOKENS = {
    kind: re.compile(pattern)
    for kind, pattern in {
        'conv': rf'{_WIDTH}c(?P<window>{_SIZE})(?P<valid>v?)',
        'local': rf'{_WIDTH}lc(?P<window>{_SIZE})',
        'linear': rf'{_WIDTH}L',
        'hidden': rf'{_WIDTH}(?:fc)?',
        'max_pool': _POOL,
        'average_pool': f'a{_POOL}',
        'stochastic_pool': f's{_POOL}',
        'lrn': 'lrn',
        'dropout': rf'd(?P<rate>{_DECIMAL})',
        'batch_norm': 'bn',
    }.items()
}


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer as its token states it; `bn` is a property of the layer that it normalises.

    Attributes:
        kind: one of `PARAMETER_KINDS`, `POOL_KINDS`, 'lrn' or 'dropout'.
        token: as written, without `^n`; 'TOKEN-bn' where batch normalisation follows.
        position: of the token in the spec, from 1, for error messages.
        width: filters or units; None where it is to be solved, and for layers without a width.
        ratio: of the solved width, where the token has a `?`.
        window, stride: along the first and second axis (convolutions have stride 1).
        padding: 'SAME' or 'VALID'.
        rate: of dropout.
        batch_norm: whether a `bn` follows; such a layer has no bias of its own.
    """

    kind: str
    token: str
    position: int
    width: int | None = None
    ratio: Fraction | None = None
    window: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: str = 'VALID'
    rate: float = 0.0
    batch_norm: bool = False


def shorten(text, length=100):
    """`repr(text)` on one line, cut in the middle where it is long."""
    text = repr(text)
    half = length // 2
    return text if len(text) <= length else f'{text[:half]}...{text[-half:]}'


def token_error(spec, position, token, problem):
    """The one-line error for a token that is at fault."""
    return UserError(f'bad model spec {shorten(spec)}: token {position} {shorten(token)} {problem}')


def parse(spec):
    """Reads a model spec.

    Args:
        spec: a string in the notation above.

    Returns:
        A tuple of `Layer`, in order, without the implied output layer. Whether windows fit the
        maps depends on the input: `notation.count` checks that.

    Raises:
        UserError: naming the first bad token and its position.
    """
    if not isinstance(spec, str):
        raise UserError(f"bad model spec {shorten(spec)}: write e.g. '128c5-p3/2-30k'")
    layers = []
    for position, token in enumerate(spec.split('-') if spec else [], start=1):
        try:
            base, repeats = _split_repeats(token)
            for _ in range(repeats):
                _append(layers, _read_token(base, position))
        except _TokenError as error:
            raise token_error(spec, position, token, error) from None
    return tuple(layers)


class _TokenError(Exception):
    """What is wrong with a token; `parse` adds the spec, the position and the token."""


def _split_repeats(token):
    base, caret, repeats = token.partition('^')
    if not caret:
        return base, 1
    if not re.fullmatch('[0-9]+', repeats):
        raise _TokenError('has no whole number after ^: write e.g. 76c3^2')
    return base, _whole(repeats, 'repetition')


def _append(layers, layer):
    """Adds a layer, checking it against those before it."""
    if len(layers) == MOST_LAYERS:
        raise _TokenError(f'makes more than {MOST_LAYERS} layers')
    kinds = [previous.kind for previous in layers]
    if layer.kind == 'batch_norm':
        _normalise_last(layers)
        return
    if layer.kind in MAP_KINDS and ('hidden' in kinds or 'linear' in kinds):
        raise _TokenError('needs a map, but a fully connected layer stands before it')
    if layer.kind == 'stochastic_pool' and not ('conv' in kinds or 'local' in kinds):
        raise _TokenError('draws in proportion to ReLU activations: put a convolution before it')
    layers.append(layer)


def _normalise_last(layers):
    last = layers[-1] if layers else None
    if last is None or last.kind not in PARAMETER_KINDS:
        what = f'stands after {last.token}' if last else 'has nothing before it'
        raise _TokenError(f'{what}: it must directly follow a c, lc, L or fully connected layer')
    if last.batch_norm:
        raise _TokenError('normalises a layer that already has a bn')
    layers[-1] = dataclasses.replace(last, token=f'{last.token}-bn', batch_norm=True)


def _read_token(token, position):
    for kind, pattern in _TOKENS.items():
        match = pattern.fullmatch(token)
        if match:
            return Layer(kind, token, position, **_fields(kind, match.groupdict()))
    if '?' in token:
        raise _TokenError('is not a layer; ? may only stand for a width: ?c5, ?lc3, ?L, ?, ?*.6')
    raise _TokenError(
        'is not a layer; layers are 128c5, p3/2, ap2, sp3/2s, lrn, 16lc3, 1200L, 30k, d.5, bn'
    )


def _fields(kind, groups):
    fields = {}
    if 'width' in groups:
        fields['width'], fields['ratio'] = _width(groups['width'])
    if 'window' in groups:
        fields['window'] = _size(groups['window'], 'window')
    if kind in POOL_KINDS:
        stride = groups['stride']
        fields['stride'] = _size(stride, 'stride') if stride else fields['window']
    if kind == 'local' or groups.get('same') or (kind == 'conv' and not groups['valid']):
        fields['padding'] = 'SAME'
    if kind == 'dropout':
        fields['rate'] = float(_fraction(groups['rate']))
        if fields['rate'] >= 1:
            raise _TokenError('has a dropout rate outside [0, 1): write e.g. d.5')
    return fields


def _width(text):
    """(width, None), or (None, ratio) for a width to be solved."""
    if text.startswith('?'):
        ratio = _fraction(text[2:] or '1')
        if not 0 < ratio <= LARGEST:
            raise _TokenError('has a multiple of ? that is zero or too large')
        return None, ratio
    return _whole(text, 'width'), None


def _size(text, what):
    first, _, second = text.partition('x')
    return _whole(first, what), _whole(second or first, what)


def _whole(text, what):
    value = _fraction(text.removesuffix('k')) * (1000 if text.endswith('k') else 1)
    if value.denominator != 1:
        raise _TokenError(f'has a {what} that is not a whole number')
    if not 1 <= value <= LARGEST:
        raise _TokenError(f'has a {what} of {"zero" if value < 1 else "more than 10^12"}')
    return int(value)


def _fraction(text):
    if len(text) > 40:
        raise _TokenError('has a number of more than 40 characters')
    return Fraction(text)
