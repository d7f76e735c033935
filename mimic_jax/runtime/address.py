"""A database's address as it is typed and as it may be shown. Nothing here needs Optuna."""

import os
import re

_PASSWORD = re.compile(r"""(://[^\s:/@'"]*):[^@]*@""")  # a password may hold all but an @


def without_password(text: str) -> str:
    """The text with '://user:***@' in the place of '://user:password@'."""
    return _PASSWORD.sub(r'\1:***@', text)


def expanded(address: str) -> str:
    """The address; where it names a file, `~` becomes the home folder: `sqlite:///~/studies.sqlite`."""
    scheme, mark, path = address.partition(':///')
    if mark:
        return f'{scheme}{mark}{os.path.expanduser(path)}'
    return os.path.expanduser(address)
