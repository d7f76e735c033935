"""`python -m mimic_jax`, the same as `python -m mimic_jax.main`."""

from mimic_jax.runtime import interrupt

if __name__ == '__main__':
    interrupt.leave_at_once()  # the import below takes a moment, in which Ctrl-C may come

    from mimic_jax import main

    main.run()
