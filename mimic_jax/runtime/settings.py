"""Settings of how a run goes; none of them changes its results or an artifact's name."""

import dataclasses

from mimic_jax.config import rules
from mimic_jax.config.fields import setting


@dataclasses.dataclass(frozen=True)
class Run:
    """How a run goes."""

    log_steps: int = setting(50, 'Steps between lines of the metrics log.', rules.FROM_1)
    evaluation_steps: int = setting(
        1,
        'Steps between evaluations, rounded up to the end of an epoch.',
        rules.FROM_1,
    )
    checkpoint_steps: int = setting(
        1, 'Steps between checkpoints, rounded up to the end of an epoch.', rules.FROM_1
    )
    steps_per_call: int = setting(
        0, 'Training steps in one compiled call; 0: 1 on CPU, 16 on accelerators.', rules.FROM_0
    )
    model_axis: int = setting(1, 'The number of devices that share a wide layer.', rules.FROM_1)
    placement: str = setting(
        'auto', "Where the data lie; 'auto': by size.", choices=('auto', 'device', 'host')
    )
    norms: bool = setting(
        False,
        'Whether norms of parameters and updates are logged beside those of gradients, each the mean '
        'over the steps of a line; it takes two more passes over the parameters a step.',
    )
    evaluation_batch_size: int = setting(
        500, 'Examples in a batch of evaluation and labelling.', rules.up_to(65536)
    )
