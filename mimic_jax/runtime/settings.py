"""Settings of how a run goes; none of them changes what comes out, or an artifact's name."""

import dataclasses

from mimic_jax.config import rules
from mimic_jax.config.fields import setting


@dataclasses.dataclass(frozen=True)
class Run:
    """How a run goes."""

    log_steps: int = setting(50, 'Steps between lines of the metrics log.', rules.FROM_1)
    evaluation_steps: int = setting(
        1, 'Evaluate at the end of an epoch so many steps after the last time.', rules.FROM_1
    )
    checkpoint_steps: int = setting(1, 'Save a checkpoint likewise.', rules.FROM_1)
    steps_per_call: int = setting(
        0, 'Training steps a compiled call; 0: 1 on CPU, 16 on accelerators.', rules.FROM_0
    )
    model_axis: int = setting(1, 'Devices that wide layers are split over.', rules.FROM_1)
    placement: str = setting(
        'auto', "Where the data lie; 'auto': by size.", choices=('auto', 'device', 'host')
    )
    evaluation_batch_size: int = setting(
        500, 'Examples a batch of evaluation and labelling.', rules.up_to(65536)
    )
