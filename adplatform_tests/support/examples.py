"""How many examples a property is tried with: few in the quick suite, ten times as many in the slow one.

``-m "slow or hypothesis" --hypothesis-profile thorough`` runs every property with its many examples.
"""

import hypothesis

QUICK, THOROUGH = 25, 250


def register_profiles() -> None:
    """How long an example takes says more of the machine than of the code."""
    hypothesis.settings.register_profile("quick", deadline=None, max_examples=QUICK)
    hypothesis.settings.register_profile("thorough", deadline=None, max_examples=THOROUGH)
    hypothesis.settings.load_profile("quick")


def examples(number: int) -> int:
    """``max_examples`` of a property whose examples cost more, or find less, than most: ``number`` in the quick suite.
    Modules with tests are imported once the profile is known."""
    return max(1, number * (hypothesis.settings.default or hypothesis.settings()).max_examples // QUICK)
