"""The chart as helm renders it: what it makes by default, and what each value changes. Needs helm and no cluster."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "charts" / "keystead"
KUBERNETES = "1.34"
pytestmark = pytest.mark.chart


def _helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["helm", *arguments], capture_output=True, text=True, timeout=60)


def render(*sets: str, release: str = "keystead") -> list[dict[str, Any]]:
    """All objects, with `--set` of each argument. Raises AssertionError if helm refuses."""
    values = [part for one in sets for part in ("--set", one)]
    done = _helm("template", release, str(CHART), "--namespace", "ks", "--kube-version", KUBERNETES, *values)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [found for found in objects if found["kind"] == kind]


def operator_pod(*sets: str) -> dict[str, Any]:
    (deployment,) = of_kind(render(*sets), "Deployment")
    pod: dict[str, Any] = deployment["spec"]["template"]
    return pod


def test_lint_finds_nothing() -> None:
    done = _helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout


def test_two_replicas_of_which_a_disruption_takes_one_at_most() -> None:
    objects = render()
    (deployment,) = of_kind(objects, "Deployment")
    (budget,) = of_kind(objects, "PodDisruptionBudget")
    assert deployment["spec"]["replicas"] == 2
    assert budget["spec"]["maxUnavailable"] == 1
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (deployment["spec"]["selector"]["matchLabels"], budget["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels.items()


def test_one_replica_has_no_disruption_budget() -> None:
    assert of_kind(render("operator.replicas=1"), "PodDisruptionBudget") == []


def test_pod_fulfils_the_restricted_standard() -> None:
    pod = operator_pod()["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all("emptyDir" in volume for volume in pod["volumes"])
    assert container["resources"]["limits"]["memory"]


def test_definitions_are_those_of_the_package_and_stay_when_the_release_goes() -> None:
    rendered = {found["metadata"]["name"]: found for found in of_kind(render(), "CustomResourceDefinition")}
    written = {path.stem: yaml.safe_load(path.read_text()) for path in (CHART / "files" / "crds").glob("*.yaml")}
    assert rendered.keys() == written.keys() == {"storageclusters.keystead.io", "tables.keystead.io"}
    for name, found in rendered.items():
        assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert found["spec"] == written[name]["spec"]


def test_definitions_can_be_left_to_others() -> None:
    assert of_kind(render("crds.install=false"), "CustomResourceDefinition") == []


def _rights(roles: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _operator_cluster_role(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for found in of_kind(objects, "ClusterRole") if found["metadata"]["name"] == "ks-keystead-operator"]


def test_serving_all_namespaces_takes_one_cluster_role() -> None:
    objects = render()
    assert "--all-namespaces" in operator_pod()["spec"]["containers"][0]["args"]
    assert ("", "pods", "create") in _rights(_operator_cluster_role(objects))
    assert [role["metadata"]["name"] for role in of_kind(objects, "Role")] == ["keystead-operator-lease"]


def test_serving_named_namespaces_takes_a_role_in_each_and_nothing_elsewhere() -> None:
    sets = "watchNamespaces={a,b}"
    objects = render(sets)
    everywhere = _rights(of_kind(render(), "ClusterRole"))
    arguments = operator_pod(sets)["spec"]["containers"][0]["args"]
    assert "--all-namespaces" not in arguments
    assert [argument for argument in arguments if argument.startswith("--namespace=")] == [
        "--namespace=a",
        "--namespace=b",
    ]
    roles = {
        role["metadata"]["namespace"]: role
        for role in of_kind(objects, "Role")
        if "-lease" not in role["metadata"]["name"]
    }
    assert roles.keys() == {"a", "b"}
    assert _rights([roles["a"]]) == _rights([roles["b"]]) < everywhere
    left = _rights(_operator_cluster_role(objects))
    assert all(verb in ("get", "list", "watch") for _, _, verb in left)
    assert not {resource for _, resource, _ in left} & {"pods", "secrets", "persistentvolumeclaims"}


def test_every_binding_names_a_role_and_the_account_that_are_there() -> None:
    for sets in ((), ("watchNamespaces={a,b}",)):
        objects = render(*sets, release="other")
        (account,) = of_kind(objects, "ServiceAccount")
        for kind in ("Role", "ClusterRole"):
            there = {(role["metadata"].get("namespace"), role["metadata"]["name"]) for role in of_kind(objects, kind)}
            for binding in of_kind(objects, f"{kind}Binding"):
                assert (binding["metadata"].get("namespace"), binding["roleRef"]["name"]) in there
                (subject,) = binding["subjects"]
                assert (subject["namespace"], subject["name"]) == ("ks", account["metadata"]["name"])


def test_data_pods_get_the_image_of_the_operator() -> None:
    (container,) = operator_pod("image.repository=r.example/k", "image.tag=v7")["spec"]["containers"]
    assert container["image"] == "r.example/k:v7"
    assert {"name": "KEYSTEAD_IMAGE", "value": "r.example/k:v7"} in container["env"]


def test_digest_goes_before_tag() -> None:
    digest = "sha256:" + "0" * 64
    (container,) = operator_pod("image.tag=v7", f"image.digest={digest}")["spec"]["containers"]
    assert container["image"] == f"keystead/keystead@{digest}"


def test_monitoring_is_made_only_where_it_is_asked_for() -> None:
    assert of_kind(render(), "ServiceMonitor") == of_kind(render(), "ConfigMap") == []
    objects = render("metrics.serviceMonitor.enabled=true", "metrics.dashboard.enabled=true", "watchNamespaces={a}")
    (monitor,) = of_kind(objects, "ServiceMonitor")
    (service,) = of_kind(objects, "Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (pods,) = of_kind(objects, "PodMonitor")
    assert pods["spec"]["namespaceSelector"] == {"matchNames": ["a"]}
    (dashboard,) = of_kind(objects, "ConfigMap")
    assert yaml.safe_load(dashboard["data"]["keystead.json"])["uid"] == "keystead"


def test_names_of_two_releases_differ() -> None:
    def named(release: str) -> set[tuple[str, str]]:
        kept = [found for found in render(release=release) if found["kind"] != "CustomResourceDefinition"]
        return {(found["kind"], found["metadata"]["name"]) for found in kept}

    assert not named("one") & named("two")


@pytest.mark.parametrize("wrong", ["operator.replicas=many", "image.pullPolicy=Sometimes", "unknown=1"])
def test_values_that_do_not_fit_the_schema_are_refused(wrong: str) -> None:
    done = _helm("template", "keystead", str(CHART), "--kube-version", KUBERNETES, "--set", wrong)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr
