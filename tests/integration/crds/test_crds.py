"""The CRDs on a real API server: what it takes, what it refuses in which words, what people see."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from skerry_api.definition import definition, generated_files, object_schema
from skerry_api.kinds import KINDS, Kind, Scope
from skerry_api.v1alpha1.fields import API_VERSION
from tests.cluster.lab import Cluster
from tests.cluster.lab.waiting import wait_for
from tests.integration.crds.cases import ACCEPTED, REFUSALS, VALID, patched
from tests.integration.crds.statuses import STATUSES

pytestmark = pytest.mark.lab

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMESPACE = f"skerry-crd-test-{secrets.token_hex(3)}"  # an earlier one may still be going
KIND = {kind.name: kind for kind in KINDS}


def valid(kind: str, *patches: dict[str, Any] | None) -> dict[str, Any]:
    """The kind's valid object, in the test's namespace if it has one, with patches laid over."""
    one = VALID[kind]
    if KIND[kind].scope is Scope.NAMESPACED:
        one = patched(one, {"metadata": {"namespace": NAMESPACE}})
    for patch in patches:
        one = patched(one, patch or {})
    return one


def named(case: dict[str, Any]) -> str:
    verb = "update" if "update" in case else "create"
    return f"{case['kind']}-{verb}-{json.dumps(case[verb])[:60]}"


class Api:
    """kubectl on the hub, with objects given as JSON."""

    def __init__(self, hub: Cluster) -> None:
        self._hub = hub

    def __call__(self, *args: str, give: Any = None, check: bool = True) -> CompletedProcess[str]:
        text = None if give is None else json.dumps(give)
        return self._hub.kubectl(*args, *([] if give is None else ["--filename=-"]), input=text, check=check)

    def dry_run(self, verb: str, one: dict[str, Any]) -> CompletedProcess[str]:
        """Ask the server whether it would take the object; nothing is kept. A conflict is asked again, as users do."""
        for _ in range(5):
            done = self(verb, "--dry-run=server", "--validate=strict", give=one, check=False)
            if "(Conflict)" not in done.stderr:
                break
        return done

    def get(self, one: dict[str, Any], output: str) -> str:
        """The object as the server shows it."""
        where = [f"--namespace={one['metadata']['namespace']}"] if "namespace" in one["metadata"] else []
        what = f"{KIND[one['kind']].plural}.skerry.dev/{one['metadata']['name']}"
        return self("get", what, *where, f"--output={output}").stdout


@pytest.fixture(scope="module")
def api(hub: Cluster) -> Iterator[Api]:
    """kubectl on a cluster that has the CRDs and a namespace to try them in; both go again if they weren't there."""
    api = Api(hub)
    names = [f"crd/{definition(kind)['metadata']['name']}" for kind in KINDS]
    had = api("get", *names, "--ignore-not-found", "--output=name").stdout.split()
    crds = {"apiVersion": "v1", "kind": "List", "items": [definition(kind) for kind in KINDS]}
    api("apply", "--server-side", "--force-conflicts", "--field-manager=skerry-crd-test", give=crds)
    api("wait", "--for=condition=Established", "--timeout=60s", *names)
    # Strict validation and explain read what is published some time after.
    wait_for(
        "the kinds' schemas are published",
        lambda: all(api("explain", kind.plural, check=False).returncode == 0 for kind in KINDS),
        seconds=60,
    )
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    api("create", give=namespace)
    yield api
    api("delete", "--wait=false", give=namespace)
    if not had:
        api("delete", *names)


@pytest.fixture
def stored(api: Api, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """A valid object that is there during one test, as the server took it; the parameter is its kind, or a case."""
    case = {"kind": request.param} if isinstance(request.param, str) else request.param
    one = valid(case["kind"], case.get("from"))
    api("delete", "--ignore-not-found", give=one)  # of an earlier run that was killed
    # Without the server's metadata: kubectl then takes the newest resourceVersion for each change.
    yield json.loads(api("create", "--output=json", give=one).stdout) | {"metadata": one["metadata"]}
    api("delete", "--wait=false", give=one)


def test_the_files_are_applied_as_they_stand(hub: Cluster, api: Api):
    applied = hub.kubectl(
        "apply", "--server-side", "--dry-run=server", "--field-manager=skerry-crd-test", "--validate=strict",
        "--filename=-", input="---\n".join(generated_files().values()),
    )  # fmt: skip

    assert len(applied.stdout.splitlines()) == len(KINDS)
    assert "Warning" not in applied.stderr


@pytest.mark.parametrize("kind", KIND)
def test_a_valid_object_is_taken(api: Api, kind: str):
    done = api.dry_run("create", valid(kind))

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_taken(api: Api, path: Path):
    objects = [one for one in yaml.safe_load_all(path.read_text()) if one["apiVersion"] == API_VERSION]
    for one in objects:
        if KIND[one["kind"]].scope is Scope.NAMESPACED:
            one["metadata"]["namespace"] = NAMESPACE  # the example's own is made by the example itself

        taken = api("apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", give=one)

        assert "serverside-applied" in taken.stdout
        assert "Warning" not in taken.stderr


@pytest.mark.parametrize("case", [case for case in REFUSALS if "create" in case], ids=named)
def test_a_bad_object_is_refused_with_the_reason(api: Api, case: dict[str, Any]):
    done = api.dry_run("create", valid(case["kind"], case["create"]))

    assert done.returncode != 0
    assert case["message"] in done.stderr


@pytest.mark.parametrize("case", [case for case in ACCEPTED if "create" in case], ids=named)
def test_a_good_object_is_taken(api: Api, case: dict[str, Any]):
    done = api.dry_run("create", valid(case["kind"], case["create"]))

    assert (done.returncode, done.stderr) == (0, "")


def _updates(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("stored", "case"),
        [pytest.param(case, case, id=named(case)) for case in cases if "update" in case],
        indirect=["stored"],
    )


@_updates(REFUSALS)
def test_a_bad_change_is_refused_with_the_reason(api: Api, stored: dict[str, Any], case: dict[str, Any]):
    done = api.dry_run("replace", patched(stored, case["update"]))

    assert done.returncode != 0
    assert case["message"] in done.stderr


@_updates(ACCEPTED)
def test_a_good_change_is_taken(api: Api, stored: dict[str, Any], case: dict[str, Any]):
    done = api.dry_run("replace", patched(stored, case["update"]))

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("stored", KIND, indirect=True)
def test_a_spec_is_kept_as_it_was_given_and_the_status_says_unseen(stored: dict[str, Any]):
    assert stored["spec"] == VALID[stored["kind"]]["spec"]
    assert stored["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("stored", KIND, indirect=True)
def test_what_the_operators_write_is_kept_whole_and_shown(api: Api, stored: dict[str, Any]):
    kind = KIND[stored["kind"]]
    status = STATUSES[kind.name]

    api("replace", "--subresource=status", give={**stored, "status": status.to_wire()})

    assert kind.model.model_validate_json(api.get(stored, "json")).status == status  # type: ignore[attr-defined]
    header, row = api.get(stored, "wide").splitlines()
    assert [column.name.upper() in header for column in kind.columns] == [True] * len(kind.columns)
    assert "<none>" not in row
    assert "<unknown>" not in row


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("models.spec.analysis.failureLimit", "with which the challenger has failed. Default: 3."),
        ("modelreleases.spec.digest", "Digest of the signed manifest"),
        ("edgesites.status.conditions.type", "What is observed"),
        ("syncpolicies.spec.tiers.windows.schedule", "cron's five fields"),
        ("syncpolicies.status.effective.streams.maxAge", "Default: 720h."),
        ("siteassignments.spec.serial", "never goes back"),
    ],
)
def test_explain_says_what_a_field_means(api: Api, path: str, words: str):
    assert words in " ".join(api("explain", path).stdout.split())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_explain_knows_each_kind_by_its_short_name(api: Api, kind: Kind):
    for short in kind.short_names:
        said = " ".join(api("explain", short).stdout.split())

        assert object_schema(kind)["description"] in said


def test_the_category_lists_them_all(api: Api):
    listed = api("api-resources", "--categories=skerry", "--output=name").stdout.split()

    assert set(listed) >= {f"{kind.plural}.skerry.dev" for kind in KINDS}
