"""A package's configuration: of every architecture it runs the model, and names nothing of the machine."""

import json

import pytest
from tests.packages.conftest import make_configuration

from raven_scan.architectures.catalogue import list_architectures
from raven_scan.packages.configuration import check_configuration, reduce_configuration


@pytest.mark.parametrize("architecture", [each.name for each in list_architectures()])
def test_of_every_architecture_it_is_harmless_and_goes_in_again(architecture: str):
    stored = make_configuration(architecture, class_count=3)
    packed = reduce_configuration(stored)
    check_configuration(packed, class_count=3)
    before, after = json.loads(stored), json.loads(packed)
    assert after["model"] == before["model"]
    assert after["custom_imports"] == before["custom_imports"]
    assert after["test_dataloader"]["dataset"]["pipeline"] == before["test_dataloader"]["dataset"]["pipeline"]
    assert b"/secret" not in packed
    assert reduce_configuration(packed) == packed
