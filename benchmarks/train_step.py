"""Training steps of this code against plain PyTorch's, and against the machine's best matrix product.

    pip install -e '.[bench]'
    python benchmarks/train_step.py --json=results/train_step.json
    python benchmarks/train_step.py --isa=avx2 --json=results/train_step_avx2.json

A step is forward, backward, clipping-free SGD with Nesterov momentum on the squared error of logits
(Ba & Caruana 2014, equation 1), float32, inputs on the device, a batch of 128 or `--batch`. The peer is
the same net in plain PyTorch, channels last, the better of eager and `torch.compile`. Each side has
processes of its own; they alternate, `--rounds` times a net, and the medians over all steps of a side are
compared.

A net's second row is the share of the machine's best matrix product (2048 × 2048, the faster of the
two libraries', in the same processes) that our step reaches. A multiply-add counts as 2 FLOPs, and
the backward pass as two forward passes without the first layer's gradient of its inputs, which
nobody needs. A convolution counts as if it were direct, though Winograd's does fewer FLOPs. The
third row is the time that such products and then the memory would take. The memory's part is what
must be read and written, at the rate of a vector that does not fit in the caches. A parameter takes
7 numbers: its gradient is written, and read by its norm and by the update; it and its momentum are
read and written. An output of a layer takes 6: it is written, and read forward and backward; its
gradient is written and read twice.

`--isa=avx2` keeps both sides' libraries from a newer processor's AVX-512: an older one's instructions, at
this one's clock and caches. The file says which instructions the processor has, which were allowed, and
the rates of each side's products and of the memory.
"""

import argparse
import collections
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAFFIC = {'parameters': 7, 'outputs': 6}  # numbers read and written a step
STEPS = {'conv': 8, 'dense': 15}
WARMUP = 3
IMAGE, SPEECH = ((32, 32, 3), 10), ((1845,), 183)
NETS = {
    '128c5-p3/2s-128c5-p3/2s-128c5-p3/2s-1k': IMAGE,
    '128c5-p3/2s-1200L-30k': IMAGE,
    '32c3-bn-p2-64c3-bn-p2-128c3-bn-p2': IMAGE,
    '64c3-bn-p2-64c3-bn-256c3-bn-p2-256c3-bn-256c3-bn-p2-256c3-bn-p4': IMAGE,
    '32c5-p2-200L-2000': IMAGE,
    '8k': SPEECH,
    '250L-8k': SPEECH,
    '2k-2k-2k': SPEECH,
}
SIDES = ('ours', 'eager', 'compiled')
# What keeps XLA, oneDNN, MKL and PyTorch's own kernels from newer instructions.
LIMITS = {
    'avx2': {
        'XLA_FLAGS': '--xla_cpu_max_isa=AVX2',
        'ONEDNN_MAX_CPU_ISA': 'AVX2',
        'MKL_ENABLE_INSTRUCTIONS': 'AVX2',
        'ATEN_CPU_CAPABILITY': 'avx2',
    }
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--nets', nargs='*', default=list(NETS), choices=list(NETS))
    parser.add_argument('--isa', choices=list(LIMITS), help='the newest instructions allowed')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--measure', nargs=2, metavar=('NET', 'SIDE'), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        spec, side = arguments.measure
        found = (
            ours(spec, arguments.batch)
            if side == 'ours'
            else peers(spec, arguments.batch, side == 'compiled')
        )
        print(json.dumps(found))
        return
    import record

    os.environ.update(LIMITS.get(arguments.isa, {}))
    start, rows, rates = time.monotonic(), [], collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        # PyTorch takes programs that it compiled for other instructions from its usual folder.
        os.environ['TORCHINDUCTOR_CACHE_DIR'] = folder
        for spec in arguments.nets:
            found = measure(spec, arguments.batch, arguments.rounds)
            for row in compare(spec, arguments.batch, found):
                print(row, flush=True)
                rows.append(row)
            for side in SIDES:
                library = 'jax' if side == 'ours' else 'PyTorch'
                rates[f'products of {library}, GFLOP/s'] += found[side]['gigaflops']
            rates['memory, GB/s'] += found['ours']['gigabytes']
            if arguments.json:
                record.save(
                    arguments.json,
                    rows,
                    seconds=round(time.monotonic() - start, 1),
                    batch=arguments.batch,
                    instructions={'processor': instructions(), 'allowed': arguments.isa or 'all'},
                    rates={name: round(statistics.median(each), 1) for name, each in rates.items()},
                )


def instructions() -> str:
    """The newest vector instructions that the processor says it has."""
    try:
        flags = Path('/proc/cpuinfo').read_text()
    except OSError:
        return platform.machine()
    known = {'avx512f': 'AVX-512', 'avx2': 'AVX2', 'avx': 'AVX'}
    return next((name for flag, name in known.items() if f' {flag} ' in flags), platform.machine())


def measure(spec: str, batch: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """{side: {milliseconds, gigaflops, ...}} of the sides' processes, in turns."""
    found = {side: collections.defaultdict(list) for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            command = [sys.executable, __file__, f'--batch={batch}', '--measure', spec, side]
            output = subprocess.check_output(command, text=True).splitlines()[-1]
            for key, values in json.loads(output).items():
                found[side][key] += values
    return found


def compare(spec: str, batch: int, found: dict) -> list[dict]:
    """Rows {name, ours, peer, ratio}: the step against PyTorch's, its speed against a product's."""
    import record

    step = {side: statistics.median(found[side]['milliseconds']) for side in SIDES}
    product = max(max(found[side]['gigaflops']) for side in SIDES)
    better = min(('eager', 'compiled'), key=step.get)
    rate = flops(spec, batch) / step['ours'] / 1e6
    limit = flops(spec, batch) / product / 1e6
    limit += traffic(spec, batch) / max(found['ours']['gigabytes']) / 1e6
    return [
        record.cost(f'{spec}, ms a step, PyTorch {better}', step['ours'], step[better]),
        record.rate(f'{spec}, GFLOP/s, against a matrix product', rate, product),
        record.cost(f'{spec}, ms a step, products and memory alone', step['ours'], limit),
    ]


def flops(spec: str, batch: int) -> float:
    """FLOPs of a step on a batch."""
    from mimic_jax.models.counts import count

    counts = count(spec, *NETS[spec])
    first = next(row.flops for row in counts.rows if row.flops)
    return batch * (3 * counts.flops - first)


def traffic(spec: str, batch: int) -> float:
    """Bytes that a step must read and write."""
    from mimic_jax.models.counts import count

    counts = count(spec, *NETS[spec])
    outputs = batch * sum(math.prod(row.shape) for row in counts.rows)
    return 4 * (TRAFFIC['parameters'] * counts.params + TRAFFIC['outputs'] * outputs)


def batch_of(spec: str, batch: int):
    """(inputs [B, ...], targets [B, K]), float32."""
    import numpy as np

    shape, classes = NETS[spec]
    random = np.random.default_rng(0)
    inputs = random.normal(size=(batch, *shape)).astype(np.float32)
    return inputs, random.normal(size=(batch, classes)).astype(np.float32)


def steps_of(spec: str) -> int:
    return STEPS['conv' if len(NETS[spec][0]) == 3 else 'dense']


def ours(spec: str, batch: int) -> dict:
    """Milliseconds of steps of this code, GFLOP/s of jax's matrix products, and GB/s of its memory."""
    from mimic_jax.runtime import allocator, compiled

    allocator.keep_freed_memory()
    import jax
    import jax.numpy as jnp
    import numpy as np

    from mimic_jax.data.view_settings import Views
    from mimic_jax.models import nets
    from mimic_jax.training.loss_settings import Loss
    from mimic_jax.training.settings import Train
    from mimic_jax.training.train_step import Task, create_train_state, train_step

    shape, classes = NETS[spec]
    loss, train = Loss(kind='logits'), Train(learning_rate=1e-3)
    task = Task(nets.of_spec(spec, classes), 'scale', Views(), loss, train, 1000)
    state = create_train_state(task, shape, 0, 0, {'inputs': {}})
    inputs, targets = batch_of(spec, batch)
    given = jax.device_put(
        {
            'inputs': inputs,
            'labels': np.zeros(batch, np.int32),
            'teacher_logits': targets,
            'index': np.arange(batch),
            'mask': np.ones(batch, np.float32),
            'view': np.int32(0),
        }
    )
    step = compiled.jit(train_step, donate_argnums=0)

    def one():
        nonlocal state
        state, _ = step(state, given)
        jax.block_until_ready(state)

    matrix = jnp.ones((2048, 2048))
    multiply = jax.jit(jnp.matmul)
    found = timed(one, steps_of(spec), lambda: multiply(matrix, matrix).block_until_ready())
    vector, add = jnp.ones(1 << 26), jax.jit(lambda vector: vector + 1)
    seconds = [elapsed(lambda: add(vector).block_until_ready()) for _ in range(WARMUP + 5)]
    found['gigabytes'] = [2 * vector.nbytes / value / 1e9 for value in seconds[WARMUP:]]
    return found


def peers(spec: str, batch: int, compiled: bool) -> dict:
    """The same of PyTorch."""
    import torch
    import torch_nets

    shape, classes = NETS[spec]
    torch.manual_seed(0)
    net = torch_nets.build(spec, shape, classes)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
    inputs, targets = map(torch.from_numpy, batch_of(spec, batch))
    if len(shape) == 3:
        inputs = inputs.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def loss_of(inputs, targets):
        return 0.5 * (net(inputs) - targets).square().sum(1).mean()

    call = torch.compile(loss_of) if compiled else loss_of

    def one():
        optimizer.zero_grad(set_to_none=True)
        call(inputs, targets).backward()
        optimizer.step()

    matrix = torch.ones(2048, 2048)
    return timed(one, steps_of(spec), lambda: matrix @ matrix)


def timed(step, count: int, multiply) -> dict:
    """Milliseconds of `count` steps after the first few, and GFLOP/s of products."""
    seconds, products = [], []
    for _ in range(WARMUP + count):
        seconds.append(elapsed(step))
    for _ in range(WARMUP + 5):
        products.append(elapsed(multiply))
    return {
        'milliseconds': [1e3 * value for value in seconds[WARMUP:]],
        'gigaflops': [2 * 2048**3 / value / 1e9 for value in products[WARMUP:]],
    }


def elapsed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == '__main__':
    main()
