"""A database's address as it may be shown. Nothing here needs Optuna."""

import re

_PASSWORD = re.compile(r"""(://[^\s:/@'"]*):[^@]*@""")  # it may hold all but an @


def without_password(text: str) -> str:
    """The text with '://user:***@' in the place of '://user:password@'."""
    return _PASSWORD.sub(r'\1:***@', text)
