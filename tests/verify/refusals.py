"""How a file is refused. In: a world and perhaps a changed file. Out: step, code and text. Never passes over a file that is believed."""

import pytest

from shared.errors import MeterproofError
from shared.verify.verifier import failed_step, verify_evidence


def refusal(world, data=None, policy=None):
    """(step, code, text) with which the file is refused."""
    passed = []
    with pytest.raises(MeterproofError) as caught:
        verify_evidence(world.file() if data is None else data, policy or world.policy(), passed)
    step = failed_step(passed)
    assert caught.value.text.startswith(step + ": ")
    return step, caught.value.code, caught.value.text
