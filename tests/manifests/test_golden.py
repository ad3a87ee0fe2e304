"""The objects of a cluster are, to the letter, those of the golden files; `python -m tests.manifests.golden_files`
writes them anew."""

import pytest
import yaml

from keystead_operator.kube.kinds import kind_of
from tests.manifests.golden_files import CASES, GOLDEN, objects_of


@pytest.mark.parametrize("case", sorted(CASES))
def test_objects_are_those_of_the_golden_file(case: str) -> None:
    assert yaml.safe_load((GOLDEN / f"{case}.yaml").read_text()) == objects_of(case)


@pytest.mark.parametrize("case", sorted(CASES))
def test_every_object_is_of_a_kind_with_a_path(case: str) -> None:
    for manifest in objects_of(case)["items"]:
        assert kind_of(manifest).path("ns").startswith(("/api/v1/namespaces/ns/", "/apis/"))
