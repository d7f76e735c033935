"""The command `mimic_jax` and `python -m mimic_jax`, the same as `python -m mimic_jax.main`."""

from mimic_jax.runtime import interrupt


def run() -> None:
    interrupt.leave_at_once()  # the import below takes a moment, in which Ctrl-C may come

    from mimic_jax import main

    main.run()


if __name__ == '__main__':
    run()
