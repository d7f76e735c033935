"""A report's facts on logit caches: how their logits are kept, in how many bytes, how exactly."""

from mimic_jax.artifacts import store
from mimic_jax.mimic.plan import Plan
from mimic_jax.training.session import Session

HEADER = ('logit cache', 'kept as', 'examples × views', 'bytes each', 'largest error')


def facts(session: Session, plan: Plan) -> list[dict]:
    """The name of each complete cache, and facts from its manifest.

    bytes: of the logits, all views together.  largest_error: that a logit has because of how it is
    kept; None where an older version wrote the cache.
    """
    found = []
    for name, cache in plan.caches.items():
        folder = session.workdir / cache.recipe.name
        # An ensemble's row needs no cache, which may not be made yet.
        if not store.is_complete(folder):
            continue
        manifest = store.manifest(folder)
        found.append(
            {
                'name': name,
                'dtype': cache.settings.dtype,
                **({'top': cache.settings.top} if cache.settings.dtype == 'topk' else {}),
                'tta': cache.settings.tta,
                'examples': len(cache.examples),
                'views': cache.settings.views,
                'bytes': manifest.get('bytes'),
                'largest_error': manifest.get('largest_error'),
            }
        )
    return found


def cells(report: dict) -> list[tuple[str, ...]]:
    """A table's lines under `HEADER`."""
    lines = []
    for cache in report.get('caches', ()):
        kept = f'top {cache["top"]}' if cache['dtype'] == 'topk' else cache['dtype']
        rows = cache['examples'] * cache['views']
        each = '–' if cache['bytes'] is None else f'{cache["bytes"] / rows:.4g}'
        error = '–' if cache['largest_error'] is None else f'{cache["largest_error"]:.2g}'
        shape = f'{cache["examples"]:,} × {cache["views"]:,}'
        lines.append((cache['name'], kept, shape, each, error))
    return lines
