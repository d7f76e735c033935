"""What students and teachers minimise: one loss an example, `[B]`; the caller masks and averages.

Everywhere here, `logits` [B, K] are the net's outputs g, and `teacher_logits` [B, K] are the targets
z, taken as constants. Either may be float16 or bfloat16: the arithmetic is float32.
"""

import chex
import jax
import jax.numpy as jnp


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """−log softmax(g)_label, in nats.

    labels: [B] int, a class from 0 to K − 1; −1 marks an unlabelled example, whose loss is 0.
    smoothing: the part s of a label that is spread evenly over all K classes: the target is 1 − s + s/K
    for the label and s/K for the others (Szegedy et al. 2016, §7).
    Returns [B] float32.
    """
    chex.assert_rank([logits, labels], [2, 1])
    chex.assert_type([logits, labels], [float, int])
    chex.assert_equal_shape_prefix([logits, labels], 1)
    labelled = labels >= 0
    log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
    at = jnp.where(labelled, labels, 0)[:, None]
    of_label = jnp.take_along_axis(log_probabilities, at, axis=1)[:, 0]
    if smoothing:
        of_label = (1 - smoothing) * of_label + smoothing * jnp.mean(log_probabilities, axis=1)
    return jnp.where(labelled, -of_label, 0.0)


def squared_error_on_logits(
    logits: jax.Array, teacher_logits: jax.Array, scale: float = 0.5
) -> jax.Array:
    """scale · Σ_k (g_k − z_k)²: Ba & Caruana 2014, equation 1; Urban et al. 2017 have scale 1.

    Returns [B] float32.
    """
    student, teacher = _pair(logits, teacher_logits)
    return scale * jnp.sum((student - teacher) ** 2, axis=1)


def squared_error_on_standardised_logits(
    logits: jax.Array,
    teacher_logits: jax.Array,
    mean: jax.Array,
    deviation: jax.Array,
    scale: float = 0.5,
) -> jax.Array:
    """Squared error after each class's logit is standardised (Ba & Caruana 2014, end of §2.2).

    The target is (z_k − mean_k) / deviation_k. The student's output is a raw logit, as every other
    loss and metric reads it, and is standardised here in the same way. The mean then cancels: the
    loss weighs class k by 1 / deviation_k².

    mean, deviation: [K], of the teacher's logits over the transfer set. A class of deviation 0 is
    only centred.
    Returns [B] float32.
    """
    student, teacher = _pair(logits, teacher_logits)
    chex.assert_shape([mean, deviation], (logits.shape[1],))
    centre = mean.astype(jnp.float32)
    divisor = deviation.astype(jnp.float32)
    divisor = jnp.where(divisor > 0, divisor, 1.0)
    difference = (student - centre) / divisor - (teacher - centre) / divisor
    return scale * jnp.sum(difference**2, axis=1)


def squared_error_on_probabilities(
    logits: jax.Array, teacher_logits: jax.Array, scale: float = 0.5
) -> jax.Array:
    """scale · Σ_k (softmax(g)_k − softmax(z)_k)² (Ba & Caruana 2014, §2.2, 'L2 on probabilities').

    Returns [B] float32.
    """
    student, teacher = _pair(logits, teacher_logits)
    return scale * jnp.sum((jax.nn.softmax(student) - jax.nn.softmax(teacher)) ** 2, axis=1)


def kl_divergence(
    logits: jax.Array, teacher_logits: jax.Array, temperature: float = 1.0
) -> jax.Array:
    """T² · KL(softmax(z / T) ‖ softmax(g / T)), in nats.

    The gradient of the divergence shrinks as 1/T²; the factor T² keeps its size comparable across
    temperatures, and as T grows the loss tends to 1/(2K) · Σ_k of the squared difference of logits
    centred over classes (Hinton, Vinyals & Dean 2015, §2 and §2.1). At T = 1 it is the divergence
    of Ba & Caruana 2014, §2.2.

    temperature: above 0.
    Returns [B] float32.
    """
    student, teacher = _pair(logits, teacher_logits)
    student_log = jax.nn.log_softmax(student / temperature)
    teacher_log = jax.nn.log_softmax(teacher / temperature)
    probabilities = jnp.exp(teacher_log)
    # A class of probability 0 adds nothing, even where the logarithms are −∞ and differ by NaN.
    terms = jnp.where(probabilities > 0, probabilities * (teacher_log - student_log), 0.0)
    return temperature**2 * jnp.sum(terms, axis=1)


def hinton(
    logits: jax.Array,
    teacher_logits: jax.Array,
    labels: jax.Array,
    temperature: float,
    soft_weight: float,
    smoothing: float = 0.0,
) -> jax.Array:
    """λ · T² KL at temperature T + (1 − λ) · cross-entropy (Hinton, Vinyals & Dean 2015, §2).

    The paper's soft term is a cross-entropy with the teacher's distribution; the divergence has the
    same gradient and is 0 for a perfect mimic.

    labels: [B] int; −1 marks an unlabelled example, whose loss is λ times the soft term alone.
    soft_weight: λ, from 0 to 1.  smoothing: of the labels, as in `cross_entropy`.
    Returns [B] float32.
    """
    soft = kl_divergence(logits, teacher_logits, temperature)
    hard = cross_entropy(logits, labels, smoothing)
    return soft_weight * soft + (1 - soft_weight) * hard


def _pair(logits: jax.Array, teacher_logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    chex.assert_rank([logits, teacher_logits], 2)
    chex.assert_type([logits, teacher_logits], float)
    chex.assert_equal_shape([logits, teacher_logits])
    return logits.astype(jnp.float32), jax.lax.stop_gradient(teacher_logits.astype(jnp.float32))
