"""What a net is: all that the package needs to train, evaluate, report and export one."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import jax


class Size(NamedTuple):
    """The figures of a net.

    parameters: trainable numbers.  flops: forward operations for one example, 2 a multiply-add.
    units: as Ba & Caruana 2014 count them; None where a net has no such count.
    sequential_layers: layers with weights that answer one after another, the output layer and a linear
    bottleneck among them; None where it cannot be told.
    """

    parameters: int
    flops: int
    units: int | None
    sequential_layers: int | None = None


class Net(Protocol):
    """A net; hashable, and equal nets share their compiled programs.

    `mimic_jax.models.nets.make` gives the net of a config: a `NotationNet`, or a `FlaxNet` of a
    person's own module.
    """

    @property
    def name(self) -> str:
        """The net as reports write it."""

    @property
    def versions(self) -> Mapping[str, int]:
        """Versions, by name, of the package's arithmetic that the net's outputs depend on."""

    def init(self, key: jax.Array, input_shape: tuple[int, ...]) -> Mapping:
        """Initial variables: {'params': float32, ...}, and others that the net keeps: running means.

        input_shape: of one example.
        """

    @property
    def fits(self) -> bool:
        """Whether `fit` changes anything."""

    def fit(self, variables: Mapping, inputs: jax.Array) -> Mapping:
        """The initial variables, fitted to preprocessed training inputs [N, ...].

        For variables that are fitted instead of trained, such as a whitening. Called once, before the
        first step.
        """

    def apply(
        self,
        variables: Mapping,
        inputs: jax.Array,
        train: bool = False,
        mask: jax.Array | None = None,
        rngs: Mapping[str, jax.Array] | None = None,
    ):
        """Logits [B, K] float32 of preprocessed inputs [B, ...].

        With `train` it returns (logits, the variables beside 'params' after the step).
        mask: [B], 1 for a real example, 0 for padding.  rngs: {'dropout': key} in training.
        """

    def describe(self, input_shape: tuple[int, ...]) -> Size:
        """The net's size on examples of a shape; UserError where it does not fit that shape."""

    def identity(self) -> dict:
        """What determines the net, as JSON: a part of the recipe of every artifact trained with it."""
