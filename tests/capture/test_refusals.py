"""What cannot be recorded is refused in one sentence that names its place, all of a model at once."""

from __future__ import annotations

import pytest
from peers import import_peer

import_peer("torch")

from capture.refused_models import REFUSED, RefusedModel  # noqa: E402

from workloads.capture import capture  # noqa: E402
from workloads.errors import InputError  # noqa: E402

pytestmark = pytest.mark.peers


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar")
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_model_is_refused_in_one_sentence(case: RefusedModel) -> None:
    with pytest.raises(InputError) as caught:
        capture(*case.make())
    assert str(caught.value) == case.message
