"""A database's address as it is typed and as it may be shown. Nothing here needs Optuna."""

import os
import re

_PASSWORD = re.compile(r"""(://[^\s:/@'"]*):[^@]*@""")  # it may hold all but an @


def without_password(text: str) -> str:
    """The text with '://user:***@' in the place of '://user:password@'."""
    return _PASSWORD.sub(r'\1:***@', text)


def expanded(address: str) -> str:
    """The address with `~` as the home folder where it names a file: `sqlite:///~/studies.sqlite`."""
    scheme, mark, path = address.partition(':///')
    if mark:
        return f'{scheme}{mark}{os.path.expanduser(path)}'
    return os.path.expanduser(address)
