"""The papers' notation as the model config: parse a spec, count its net, solve its free width.

    python -m mimic_jax.models.notation 128c5-p3/2-1200L-30k
    python -m mimic_jax.models.notation '64c5-p3/2-?L-4k' --budget=10e6

`grammar` describes the notation. Nothing here imports JAX or makes an array.
"""

import argparse
import dataclasses
import math
import numbers
import re
import sys
from fractions import Fraction

from mimic_jax.errors import UserError
from mimic_jax.models.counts import Counts, LayerCount, checked_sizes, count, count_layers
from mimic_jax.models.grammar import LARGEST, Layer, parse, shorten

__all__ = ['Counts', 'Layer', 'LayerCount', 'count', 'parse', 'solve']


def solve(spec, params, input_shape=(32, 32, 3), num_classes=10):
    """Replaces each `?` by the largest width that the parameter budget allows.

    All `?` stand for one width n. `?*.6` stands for .6 n, rounded, at least 1.

    Args:
        spec: a model spec with at least one `?`.
        params: the budget in parameters; may be a float such as 10e6.
        input_shape, num_classes: as in `count`.

    Returns:
        The spec with a number for each `?`, for the n whose successor would exceed the budget.

    Raises:
        UserError: for a bad spec, one without `?`, or a budget that n = 1 exceeds.
    """
    layers = parse(spec)
    if all(layer.ratio is None for layer in layers):
        raise UserError(f'model spec {shorten(spec)} has no ? to solve: write e.g. ?L or ?*.6')
    sizes = checked_sizes(input_shape, num_classes)
    budget = _checked_budget(params)

    def cost(width):
        return count_layers(spec, [_with_width(layer, width) for layer in layers], *sizes).params

    if cost(1) > budget:
        raise UserError(
            f'model spec {shorten(spec)} has at least {cost(1):,} parameters (at ? = 1), '
            f'the budget is {budget:,}: raise it or narrow the other layers'
        )
    fits, too_wide = 1, 2
    while cost(too_wide) <= budget:
        fits, too_wide = too_wide, 2 * too_wide
    while too_wide - fits > 1:
        middle = (fits + too_wide) // 2
        fits, too_wide = (middle, too_wide) if cost(middle) <= budget else (fits, middle)
    return _with_numbers(spec, layers, fits)


def _scaled(ratio, width):
    return max(1, math.floor(ratio * width + Fraction(1, 2)))


def _with_width(layer, width):
    if layer.ratio is None:
        return layer
    return dataclasses.replace(layer, width=_scaled(layer.ratio, width))


def _with_numbers(spec, layers, width):
    ratios = {layer.position: layer.ratio for layer in layers}
    tokens = spec.split('-')
    for position, ratio in ratios.items():
        if ratio is not None:
            number = str(_scaled(ratio, width))
            tokens[position - 1] = re.sub(r'\?(\*[0-9.]+)?', number, tokens[position - 1])
    return '-'.join(tokens)


def _checked_budget(params):
    if isinstance(params, numbers.Real) and 1 <= params <= LARGEST:
        return math.floor(params)
    raise UserError(f'parameter budget {shorten(params)}: a number from 1 to 10^12 is needed')


def _table(counts):
    lines = [('layer', 'output shape', 'parameters', 'units', 'FLOPs')]
    for row in counts.rows:
        shape = 'x'.join(map(str, row.shape))
        lines.append((row.token, shape, *map('{:,}'.format, (row.params, row.units, row.flops))))
    sums = (counts.params, counts.units, counts.flops)
    lines.append(('total', '', *map('{:,}'.format, sums)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return '\n'.join(
        '  '.join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    )


def _number(text, kind):
    try:
        return kind(text)
    except ValueError:
        raise UserError(f'{shorten(text)} is not a number') from None


def _report(spec, input_shape, num_classes, budget):
    """The text that the command prints."""
    sizes = [_number(size, int) for size in input_shape.split(',')], _number(num_classes, int)
    if budget is None:
        return _table(count(spec, *sizes))
    budget = _number(budget, float)
    solved = solve(spec, budget, *sizes)
    counts = count(solved, *sizes)
    shortfall = math.floor(budget) - counts.params
    return f'{solved}\n{shortfall:,} parameters short of the budget\n\n{_table(counts)}'


def main(arguments=None):
    """Runs the command line; returns its exit status, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(
        prog='python -m mimic_jax.models.notation',
        description='Parameters, units and FLOPs (forward, one example) of a net, layer by layer.',
    )
    parser.add_argument('spec', help='e.g. 128c5-p3/2-1200L-30k; the output layer is implied')
    parser.add_argument(
        '--input_shape', default='32,32,3', help='features, or height,width,channels'
    )
    parser.add_argument('--num_classes', default='10')
    parser.add_argument('--budget', help='parameters, e.g. 10e6: solves the widths written as ?')
    options = parser.parse_args(arguments)
    try:
        print(_report(options.spec, options.input_shape, options.num_classes, options.budget))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
