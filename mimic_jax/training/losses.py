"""What students and teachers minimise: one loss an example, [B] float32; the caller masks and averages.

Everywhere here, `logits` [B, K] are the net's outputs g, and `teacher_logits` [B, K] are the targets
z, taken as constants. Either may be float16 or bfloat16: the arithmetic is float32.
"""

import chex
import jax
import jax.numpy as jnp

LEAST_SQUARES = 1e-16  # a side of a correlation with a sum of squares below it counts as constant


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """−log softmax(g)_label, in nats.

    labels: [B] int, a class from 0 to K − 1; −1 marks an unlabelled example, whose loss is 0.
    smoothing: the part s of a label that is spread evenly over all K classes: the target is 1 − s + s/K
    for the label and s/K for the others (Szegedy et al. 2016, §7).
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


def squared_error(outputs: jax.Array, values: jax.Array, scale: float = 0.5) -> jax.Array:
    """scale · Σ_k (g_k − y_k)², of real-valued targets y.

    outputs, values: g and y, [B, K]; an example with a value that is NaN is unlabelled, and its loss 0.
    """
    chex.assert_rank([outputs, values], 2)
    chex.assert_type([outputs, values], float)
    chex.assert_equal_shape([outputs, values])
    labelled = jnp.all(jnp.isfinite(values), axis=1)
    at = jnp.where(labelled[:, None], values.astype(jnp.float32), 0.0)
    each = scale * jnp.sum((outputs.astype(jnp.float32) - at) ** 2, axis=1)
    return jnp.where(labelled, each, 0.0)


def on_labels(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """`cross_entropy` of classes [B], `squared_error` of real values [B, K]."""
    return (cross_entropy if labels.ndim == 1 else squared_error)(outputs, labels)


def squared_error_on_logits(
    logits: jax.Array, teacher_logits: jax.Array, scale: float = 0.5
) -> jax.Array:
    """scale · Σ_k (g_k − z_k)²: Ba & Caruana 2014, equation 1; Urban et al. 2017 have scale 1."""
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
    """scale · Σ_k (softmax(g)_k − softmax(z)_k)² (Ba & Caruana 2014, §2.2, 'L2 on probabilities')."""
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
    """
    student, teacher = _pair(logits, teacher_logits)
    student_log = jax.nn.log_softmax(student / temperature)
    teacher_log = jax.nn.log_softmax(teacher / temperature)
    return temperature**2 * _divergence(teacher_log, student_log)


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
    """
    soft = kl_divergence(logits, teacher_logits, temperature)
    hard = cross_entropy(logits, labels, smoothing)
    return soft_weight * soft + (1 - soft_weight) * hard


def kl_of_z_scores(
    logits: jax.Array, teacher_logits: jax.Array, temperature: float = 1.0
) -> jax.Array:
    """`kl_divergence` of z-scores: each example's logits minus their mean, divided by their deviation.

    Sun et al. 2024, §4 ('logit standardisation'): the student need not match the size of the teacher's
    logits. The authors' code divides the sum of squares by K − 1, not by K. That has the effect of a
    temperature higher by √(K / (K − 1)).

    Logits that are all equal are only centred.
    """
    student, teacher = map(_z_scores, _pair(logits, teacher_logits))
    return kl_divergence(student, teacher, temperature)


def decoupled(
    logits: jax.Array,
    teacher_logits: jax.Array,
    labels: jax.Array,
    temperature: float = 1.0,
    target_weight: float = 1.0,
    others_weight: float = 8.0,
) -> jax.Array:
    """T² · (α · KL of target against the rest + β · KL among the rest): DKD, Zhao et al. 2022, §3.

    The two add up to `kl_divergence` where α is 1 and β is 1 − the teacher's probability of the target
    (equation 5).

    labels: [B] int, the targets. An unlabelled example, −1, has the teacher's most likely class.
    target_weight, others_weight: α and β.
    """
    student, teacher = _pair(logits, teacher_logits)
    classes = jnp.where(labels >= 0, labels, jnp.argmax(teacher, axis=1))
    target = classes[:, None] == jnp.arange(logits.shape[1])

    def parts(log_probabilities):
        """log p of (target, rest) [B, 2], and of each class among the rest [B, K], 0 at the target."""
        of_target = jnp.sum(jnp.where(target, log_probabilities, 0.0), axis=1)
        rest = jax.nn.logsumexp(log_probabilities, axis=1, where=~target)
        among = jnp.where(target, 0.0, log_probabilities - rest[:, None])
        return jnp.stack([of_target, rest], axis=1), among

    student_binary, student_among = parts(jax.nn.log_softmax(student / temperature))
    teacher_binary, teacher_among = parts(jax.nn.log_softmax(teacher / temperature))
    # At the target both logarithms are 0, whose divergence is 0.
    of_target = _divergence(teacher_binary, student_binary)
    among_rest = _divergence(teacher_among, student_among)
    return temperature**2 * (target_weight * of_target + others_weight * among_rest)


def correlation_distance(
    logits: jax.Array,
    teacher_logits: jax.Array,
    mask: jax.Array,
    temperature: float = 1.0,
    class_weight: float = 1.0,
    example_weight: float = 1.0,
) -> jax.Array:
    """T² · (β · (1 − ρ over classes) + γ · (1 − ρ over examples)): DIST, Huang et al. 2022, §3.

    ρ is Pearson's correlation of softmax(g / T) and softmax(z / T): over the classes of each example
    (equation 8), and over the real examples of the batch for each class, the mean over classes
    (equation 9). The latter is the same number for every example. Where one side is constant, ρ is 0.

    mask: [B], 0 for padding, which no example's loss depends on.
    class_weight, example_weight: β and γ.
    """
    student, teacher = _pair(logits, teacher_logits)
    chex.assert_shape(mask, logits.shape[:1])
    student = jax.nn.softmax(student / temperature)
    teacher = jax.nn.softmax(teacher / temperature)
    over_classes = 1 - _correlation(student, teacher, jnp.ones_like(student), axis=1)
    weights = jnp.broadcast_to(mask[:, None].astype(jnp.float32), student.shape)
    over_examples = 1 - jnp.mean(_correlation(student, teacher, weights, axis=0))
    return temperature**2 * (class_weight * over_classes + example_weight * over_examples)


def _pair(logits: jax.Array, teacher_logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    chex.assert_rank([logits, teacher_logits], 2)
    chex.assert_type([logits, teacher_logits], float)
    chex.assert_equal_shape([logits, teacher_logits])
    return logits.astype(jnp.float32), jax.lax.stop_gradient(teacher_logits.astype(jnp.float32))


def _z_scores(logits: jax.Array) -> jax.Array:
    centred = logits - jnp.mean(logits, axis=1, keepdims=True)
    variance = jnp.mean(centred**2, axis=1, keepdims=True)
    return centred / jnp.sqrt(jnp.where(variance > 0, variance, 1.0))


def _divergence(teacher_log: jax.Array, student_log: jax.Array) -> jax.Array:
    """Σ_k p_k (log p_k − log q_k), [B]."""
    probabilities = jnp.exp(teacher_log)
    # A class of probability 0 adds nothing, even where the logarithms are −∞ and differ by NaN.
    terms = jnp.where(probabilities > 0, probabilities * (teacher_log - student_log), 0.0)
    return jnp.sum(terms, axis=1)


def _correlation(a: jax.Array, b: jax.Array, weights: jax.Array, axis: int) -> jax.Array:
    """Pearson's correlation along an axis, 0 where a side is constant or nearly so."""
    total = jnp.maximum(jnp.sum(weights, axis=axis, keepdims=True), 1.0)
    a = a - jnp.sum(weights * a, axis=axis, keepdims=True) / total
    b = b - jnp.sum(weights * b, axis=axis, keepdims=True) / total
    squares = jnp.sum(weights * a**2, axis=axis), jnp.sum(weights * b**2, axis=axis)
    # Below it, rounding of probabilities is as large as they vary, and squares underflow in float32.
    varies = (squares[0] > LEAST_SQUARES) & (squares[1] > LEAST_SQUARES)
    norms = (jnp.sqrt(jnp.where(varies, each, 1.0)) for each in squares)
    a, b = (each / jnp.expand_dims(norm, axis) for each, norm in zip((a, b), norms, strict=True))
    return jnp.where(varies, jnp.sum(weights * a * b, axis=axis), 0.0)
