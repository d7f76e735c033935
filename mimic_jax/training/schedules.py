"""The learning rate by step."""

import optax

from mimic_jax.training.settings import Train


def learning_rate(train: Train, steps: int) -> optax.Schedule:
    """The rate by step: a linear warm-up, then what `train.schedule` names.

    A line or a cosine falls until `steps`, which the last step, number `steps` − 1, just does not
    reach. 'plateau' is constant here; `optimizers.optimizer` scales its updates.
    """
    peak, start = train.learning_rate, train.warmup_from * train.learning_rate
    warmup = round(train.warmup * steps)
    if train.schedule == 'cosine':
        return optax.warmup_cosine_decay_schedule(start, peak, warmup, steps)
    if train.schedule in ('constant', 'plateau'):
        if not warmup:  # optax's warm-up schedule over no steps would stay at 0 for ever
            return optax.constant_schedule(peak)
        return optax.warmup_constant_schedule(start, peak, warmup)
    after = _after_warmup(train, steps, warmup)
    if not warmup:
        return after
    return optax.join_schedules([optax.linear_schedule(start, peak, warmup), after], [warmup])


def _after_warmup(train: Train, steps: int, warmup: int) -> optax.Schedule:
    """The rate by the steps since warm-up."""
    peak, final = train.learning_rate, train.final_rate * train.learning_rate
    match train.schedule:
        case 'linear':
            return optax.linear_schedule(peak, final, steps - warmup)
        case 'trapezoid':
            fall = min(round(train.cooldown * steps), steps - warmup)
            return optax.linear_schedule(peak, final, fall, transition_begin=steps - warmup - fall)
        case 'step':
            cuts: dict[int, float] = {}
            for part in train.cuts:  # in a short run two may fall on one step
                at = round(part * steps) - warmup
                cuts[at] = cuts.get(at, 1.0) * train.cut_factor
            return optax.piecewise_constant_schedule(peak, cuts)
    raise ValueError(f'no schedule {train.schedule!r}')
