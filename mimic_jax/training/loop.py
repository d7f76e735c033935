"""The one training loop, for teachers and students alike."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mimic_jax.data import batches, kinds, mixing
from mimic_jax.errors import NotFinite
from mimic_jax.ops import metrics
from mimic_jax.runtime import compiled, hosts, interrupt, sharding
from mimic_jax.training import calls, checkpoint, fitting, optimizers, plateau
from mimic_jax.training.checkpoint import Checkpoints
from mimic_jax.training.metrics_log import MetricsLog, NoLog
from mimic_jax.training.plan import NetPlan, Targets
from mimic_jax.training.schedules import learning_rate
from mimic_jax.training.session import Session
from mimic_jax.training.train_step import TrainState, create_train_state
from mimic_jax.training.window import Window


def run(folder: Path, net: NetPlan, targets: Targets, session: Session) -> dict:
    """Trains a net to its last step in `folder`, starting where an earlier run stopped.

    Returns facts of the finished net: steps, parameters, digest of the variables, seconds.

    Raises:
      NotFinite: a loss or gradient is not finite, on training or validation examples.
      Interrupted: a signal stopped the run, after a checkpoint of the step it had reached.
    """
    compiled.make_room(net.task)
    loop = _Loop(folder, net, targets, session)
    with Checkpoints(folder) as checkpoints:
        state, start = loop.restore(checkpoints)
        with (
            MetricsLog(folder, start, net, session.boards) if hosts.is_first() else NoLog() as log,
            session.progress.task(
                net.name, f'train {net.model}', net.task.steps, net.work_per_step, start
            ) as bar,
            interrupt.deferred(),
        ):
            state = loop.to_the_end(state, start, checkpoints, log, bar)
            steps = int(state.step)
            # The last step's checkpoint holds only what inference reads.
            variables = loop.kept(state)
            checkpoints.save(steps, variables)
            seconds = log.seconds
    return {
        'steps': steps,
        'parameters': sum(leaf.size for leaf in jax.tree.leaves(variables['params'])),
        'variables_sha256': checkpoint.digest(sharding.whole(variables)),
        'seconds': round(seconds, 3),
    }


class _Loop:
    def __init__(self, folder: Path, net: NetPlan, targets: Targets, session: Session):
        self.folder, self.net, self.targets, self.session = folder, net, targets, session
        train = net.task.train
        self.epoch_steps = batches.steps(len(net.examples), train.batch_size)
        self.step_call = calls.train(session.mesh, session.run.norms)
        self.eval_call = calls.evaluate(session.mesh)
        self.schedule = learning_rate(train, net.task.steps)
        self.adaptive = train.schedule == 'plateau'
        self.scale = 1.0  # on the schedule's rate
        self.finished = False
        self.best = None  # the variables of the lowest validation error, where they are to be kept
        self.metrics = {}  # the latest, for the bar

    def restore(self, checkpoints: Checkpoints) -> tuple[TrainState, int]:
        """The state of the last checkpoint, or a new one, laid out on the mesh."""
        net, targets, session = self.net, self.targets, self.session
        # Copies: a step donates its state's buffers, and the session's constants serve every net.
        constants = jax.tree.map(jnp.array, {**session.constants, **targets.constants})
        state = create_train_state(
            net.task, session.data.input_shape, net.seed, targets.view_seed, constants
        )
        step = checkpoints.latest_step
        if step is None:
            state = fitting.fitted(state, session.data, net.examples)
        state = sharding.shard_state(session.mesh, state)
        if net.task.train.keep == 'best' and self.adaptive:
            self.best = _copied(state.averaged)
        if step is None:
            return state, 0
        if checkpoints.is_last(step):  # finished, but killed before it was sealed
            self.finished = True
            self.best = checkpoints.restore(step, variables=state.averaged)['variables']
            return state.replace(step=jnp.int32(step)), step
        items = checkpoints.restore(step, variables=state.averaged, training=self._training(state))
        training = items['training']
        if self.adaptive:
            self.scale = float(optimizers.plateau_of(training['opt_state']).scale)
        self.best = training.get('best')
        averaged = state.average is not None
        return state.replace(
            step=training['step'],
            variables=training['variables'] if averaged else items['variables'],
            average=items['variables'] if averaged else None,
            opt_state=training['opt_state'],
        ), step

    def kept(self, state: TrainState):
        """The variables that are the run's result."""
        return state.averaged if self.best is None else self.best

    def _save(self, checkpoints: Checkpoints, step: int, state: TrainState) -> None:
        checkpoints.save(step, state.averaged, self._training(state))

    def _training(self, state: TrainState) -> dict:
        """What resuming needs beside the variables that inference reads."""
        items = {'step': state.step, 'opt_state': state.opt_state}
        if state.average is not None:
            items['variables'] = state.variables
        if self.best is not None:
            items['best'] = self.best
        return items

    def to_the_end(self, state, step: int, checkpoints, log, bar) -> TrainState:
        """Trains from `step` to the last step; evaluates, logs, saves and stops where that is due."""
        run, net, targets = self.session.run, self.net, self.targets
        window = Window(functools.partial(self._record, log, checkpoints))
        while step < net.task.steps and not self.finished:
            epoch = step // self.epoch_steps
            view = epoch % targets.views if targets.views else epoch
            extra = targets.teacher(view) if targets.teacher else {}
            for count, fed in self._epoch(epoch, step % self.epoch_steps, view, extra):
                state, sums = self.step_call(state, fed, count)
                step += count
                full = window.add(count, sums) >= run.log_steps
                bar.advance(count, self.metrics)
                if full:
                    window.turn(step)
                hosts.check_stop()
                # At an epoch's end, evaluation comes first: the learning rate may depend on it.
                if interrupt.requested() and step % self.epoch_steps:
                    window.flush(step)
                    self._save(checkpoints, step, state)
                    interrupt.check()
            self.finished = step == net.task.steps
            if self.finished or self.adaptive or self._due(step, run.evaluation_steps):
                window.flush(step)
                error = self._evaluate(state, step, log)
                if self.adaptive:
                    state = self._adapt(state, error)
            due = self._due(step, run.checkpoint_steps) or interrupt.requested()
            if not self.finished and due:
                window.flush(step)  # so that no checkpoint holds numbers that are not finite
                self._save(checkpoints, step, state)
                interrupt.check()
        return state

    def _adapt(self, state: TrainState, error: float) -> TrainState:
        """The state with the learning rate that this validation error leads to."""
        old = jax.device_get(optimizers.plateau_of(state.opt_state))
        new = plateau.update(old, error)
        self.finished |= plateau.stopped(new)
        self.scale = float(new.scale)
        if self.best is not None and not new.since_best:
            self.best = _copied(state.averaged)
        new = sharding.shard_state(self.session.mesh, new)
        return state.replace(opt_state=optimizers.with_plateau(state.opt_state, new))

    def rate(self, step: int) -> float:
        """The learning rate that led to `step`."""
        return self.scale * float(self.schedule(step - 1))

    def _due(self, step: int, every: int) -> bool:
        """Whether a multiple of `every` fell into the epoch that ended at `step`."""
        return step // every > (step - self.epoch_steps) // every

    def _epoch(self, epoch: int, skip: int, view: int, extra):
        """(steps, what they are fed) of each call of an epoch after its first `skip` steps."""
        net, size, placement = self.net, self.net.task.train.batch_size, self.session.placement
        ids = batches.epoch(net.examples, size, net.seed, epoch, placement.padded(size))
        seed = self.targets.view_seed
        ids = mixing.with_partners(ids, net.task.views, seed, view, net.partners)
        return placement.epoch(ids, view, extra, skip)

    def _record(self, log, checkpoints: Checkpoints, step: int, sums: list[dict]) -> None:
        """Writes the means of the window that ends at `step`; stops where they are not finite."""
        sums = jax.tree.map(lambda *values: np.sum(values, axis=0), *jax.device_get(sums))
        rate = self.rate(step)
        if sums['nonfinite_steps']:
            # All steps after the first that is not finite are not finite either.
            self._stop(step - int(sums['nonfinite_steps']) + 1, checkpoints)
        # A window without labelled examples has no score.
        values = {key: value for key, value in metrics.summarise(sums).items() if value is not None}
        norms = [key for key in sums if key.endswith('_norm_sum')]
        values |= {key.removesuffix('_sum'): float(sums[key] / sums['steps']) for key in norms}
        self.metrics['loss'] = float(values['loss'])
        epoch = round(step / self.epoch_steps, 4)
        log.write(step, epoch=epoch, **values, learning_rate=rate)

    def _stop(self, step: int, checkpoints: Checkpoints) -> None:
        good = checkpoints.latest_step
        kept = f'the last good checkpoint is step {good}' if good else 'no checkpoint was due yet'
        raise NotFinite(
            f'{self.net.name}: loss or gradient not finite at step {step}, learning rate '
            f'{self.rate(step):.3g}; {kept} in {self.folder}; lower train.learning_rate or set '
            'train.clip_norm'
        )

    def _evaluate(self, state, step: int, log) -> float:
        """Writes loss and score on the validation split; returns its error, 1 less the score."""
        placement, sums = self.session.placement, None
        for fed in placement.each(placement.in_order(self.session.data.splits['validation'])):
            new = self.eval_call(state, fed)
            sums = new if sums is None else metrics.merge(sums, new)
        values = metrics.summarise(jax.device_get(sums))
        if not np.isfinite(values['loss']):
            raise NotFinite(
                f'{self.net.name}: validation loss not finite after step {step}, its logits or '
                f'statistics have exploded, in {self.folder}; lower train.learning_rate or set '
                'train.clip_norm'
            )
        metric = kinds.of(self.session.data.labels).metric
        score = {f'validation_{metric}': float(values[metric])}
        log.write(step, validation_loss=float(values['loss']), **score)
        self.metrics |= score
        return 1 - float(values[metric])


def _copied(tree):
    """Arrays of their own: a step donates its state's."""
    return jax.tree.map(jnp.copy, tree)
