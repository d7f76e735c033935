"""One-against-all linear SVMs with squared hinge, all classes at once, by L-BFGS on the device.

Letters: N examples of F features in S chunks of R rows, K classes. Weights are one array
[F + 1, K]; the last row is the bias.
"""

import chex
import jax
import jax.numpy as jnp
import optax

from mimic_jax.runtime.progress import Watch

# L-BFGS also ends after so many steps in a row that did not lower the objective: float32 allows no more.
PATIENCE = 10


def decision(weights: jax.Array, inputs: jax.Array) -> jax.Array:
    """The decision values w·x + b: [..., F] → [..., K]."""
    return jnp.matmul(inputs, weights[:-1], precision='highest') + weights[-1]


@jax.custom_vjp
def objective(
    weights: jax.Array, inputs: jax.Array, labels: jax.Array, penalty: float
) -> jax.Array:
    """½‖w‖² + C Σ max(0, 1 − y·(w·x + b))², summed over the classes: liblinear's primal L2-loss SVC.

    The bias is part of ‖w‖², as in liblinear, where it is the weight of a constant feature 1
    (scikit-learn's `intercept_scaling=1`).

    weights: [F + 1, K].  inputs: [S, R, F].  labels: [S, R] int, −1 for padding; y is 1 for an
    example's own class and −1 for the others.  penalty: C.

    One pass over the chunks gives the value and the gradient, with R rows at a time beside the
    inputs. The gradient is with respect to the weights alone.
    """
    return _value_and_gradient(weights, inputs, labels, penalty)[0]


def fit(
    inputs: jax.Array,
    labels: jax.Array,
    num_classes: int,
    penalty: float,
    *,
    tolerance: float = 1e-4,
    iterations: int = 1000,
    watch: Watch = lambda done, total: None,
) -> tuple[jax.Array, dict]:
    """Minimises `objective` from zero by optax's L-BFGS with its zoom line search.

    Ends when the gradient's norm is at most `tolerance` times that at zero, when float32 allows no
    further progress, or after `iterations` steps.  watch: called after every step.
    Returns the weights [F + 1, K] and {iterations, objective, gradient}, the last being the norm's
    ratio to that at zero.
    """
    chex.assert_rank([inputs, labels], [3, 2])
    weights = jnp.zeros((inputs.shape[-1] + 1, num_classes), jnp.float32)
    state = optax.lbfgs().init(weights)
    _, gradient = jax.jit(_value_and_gradient)(weights, inputs, labels, penalty)
    first = float(jnp.linalg.norm(gradient))
    lowest, waited, taken, value, ratio = float('inf'), 0, 0, 0.0, 1.0
    while taken < iterations and ratio > tolerance and waited < PATIENCE:
        weights, state, value, norm = _step(weights, state, inputs, labels, penalty)
        taken, value, ratio = taken + 1, float(value), float(norm) / first
        waited = 0 if value < lowest else waited + 1
        lowest = min(lowest, value)
        watch(taken, iterations)
    return weights, {'iterations': taken, 'objective': value, 'gradient': ratio}


@jax.jit
def _step(weights, state, inputs, labels, penalty):
    def value_of(weights):
        return objective(weights, inputs, labels, penalty)

    # The state holds the value and gradient of the point that the line search chose.
    value, gradient = optax.value_and_grad_from_state(value_of)(weights, state=state)
    updates, state = optax.lbfgs().update(
        gradient, state, weights, value=value, grad=gradient, value_fn=value_of
    )
    value, gradient = (optax.tree.get(state, key) for key in ('value', 'grad'))
    return optax.apply_updates(weights, updates), state, value, jnp.linalg.norm(gradient)


def _value_and_gradient(weights, inputs, labels, penalty):
    num_classes = weights.shape[1]

    def add(total, chunk):
        rows, own = chunk
        signs = 2 * jax.nn.one_hot(own, num_classes) - 1
        slack = jnp.maximum(0, 1 - signs * decision(weights, rows))
        slack = jnp.where(own[:, None] >= 0, slack, 0)
        slopes = -2 * slack * signs
        change = jnp.matmul(rows.T, slopes, precision='highest')
        part = (jnp.sum(slack**2), jnp.concatenate([change, slopes.sum(0, keepdims=True)]))
        return jax.tree.map(jnp.add, total, part), None

    start = (jnp.zeros((), weights.dtype), jnp.zeros_like(weights))
    (hinge, change), _ = jax.lax.scan(add, start, (inputs, labels))
    return 0.5 * jnp.sum(weights**2) + penalty * hinge, weights + penalty * change


def _forward(weights, inputs, labels, penalty):
    return _value_and_gradient(weights, inputs, labels, penalty)


def _backward(gradient, slope):
    return slope * gradient, None, None, None


objective.defvjp(_forward, _backward)
