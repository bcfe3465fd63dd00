"""How often processes of tests look for garbage: what they import is a million objects that live to their end."""

import atexit
import gc


def collect_rarely() -> None:
    """Once for 50,000 objects in place of 700; processes that are forked do so, too."""
    gc.set_threshold(50_000, 20, 20)


def keep_what_is_there() -> None:
    """What is there now is not looked through again, and shared by processes that are forked."""
    gc.collect()
    gc.freeze()


def keep_until_exit() -> None:
    """As above, for processes with bindings that report as leaked what they find frozen in the end."""
    keep_what_is_there()
    atexit.register(gc.unfreeze)
