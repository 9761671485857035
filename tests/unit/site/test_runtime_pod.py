from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.v1alpha1.siteassignment import Serial
from skerry_api.v1alpha1.siteclass import Resources, RuntimeResources
from skerry_core.assignment.document import RemovedModel, RuntimeTemplate
from skerry_operator.site.runtime_pod import daemon_set, services
from tests.unit.trust.documents import DIGEST, assignment, model_assignment

DOCUMENT = assignment()
PODS = daemon_set(DOCUMENT)["spec"]["template"]["spec"]
CONTAINERS = {container["name"]: container for container in PODS["containers"]}
OWN_FOLDERS = PODS["initContainers"][0]

_digests = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:".__add__)
_models = st.lists(
    st.builds(
        lambda name, target, bad: model_assignment(name).model_copy(
            update={
                "target": model_assignment(name).target.model_copy(update={"digest": target}),
                "quarantined": tuple(bad),
            }
        ),
        st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True),
        _digests,
        st.lists(_digests, max_size=3),
    ),
    max_size=5,
)


@given(
    models=_models,
    n=st.integers(0, 10**9),
    removals=st.lists(st.just(RemovedModel(namespace="team", name="har")), max_size=1),
)
def test_no_change_of_models_changes_the_daemonset(models, n, removals):
    changed = DOCUMENT.model_copy(
        update={
            "models": tuple(models),
            "serial": Serial(incarnation=3, n=n),
            "issued_at": datetime.now(UTC),
            "trust_policy": DIGEST,
            "removals": tuple(removals),
        }
    )
    assert daemon_set(changed) == daemon_set(DOCUMENT)


def test_image_and_resources_come_from_the_signed_template():
    sync = Resources(requests={"cpu": "50m"}, limits={"memory": "120Mi"})
    template = RuntimeTemplate(image="registry/edge:9", resources=RuntimeResources(sync=sync))
    pods = daemon_set(DOCUMENT.model_copy(update={"runtime": template}))["spec"]["template"]["spec"]
    assert {c["image"] for c in [*pods["containers"], *pods["initContainers"]]} == {"registry/edge:9"}
    by_name = {container["name"]: container["resources"] for container in pods["containers"]}
    assert by_name["sync"] == {"requests": {"cpu": "50m"}, "limits": {"memory": "120Mi"}}
    assert by_name["inference"]["requests"]


def test_nothing_owns_the_runtime():
    assert "ownerReferences" not in daemon_set(DOCUMENT)["metadata"]
    assert "finalizers" not in daemon_set(DOCUMENT)["metadata"]


@pytest.mark.parametrize("name", ["inference", "sync"])
def test_both_containers_are_as_restricted_asks(name):
    security = CONTAINERS[name]["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert "runAsUser" not in security
    assert PODS["securityContext"]["runAsNonRoot"] is True
    assert PODS["securityContext"]["runAsUser"] == 65532
    assert PODS["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_root_is_the_init_containers_alone_and_only_to_hand_over_folders():
    assert OWN_FOLDERS["securityContext"]["runAsUser"] == 0
    assert OWN_FOLDERS["securityContext"]["capabilities"] == {
        "drop": ["ALL"],
        "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER"],
    }


def test_host_paths_are_ours_only():
    paths = [volume["hostPath"]["path"] for volume in PODS["volumes"] if "hostPath" in volume]
    assert sorted(paths) == [f"/var/lib/skerry/{name}" for name in ("inference", "inference/log", "store", "sync")]


def mounts(name):
    return {mount["name"]: mount for mount in CONTAINERS[name]["volumeMounts"]}


def test_inference_reads_the_store_and_holds_no_credential_of_skerrys():
    assert mounts("inference")["store"]["readOnly"] is True
    assert "api-access" not in mounts("inference")
    assert "sync" not in mounts("inference")
    assert PODS["automountServiceAccountToken"] is False


def test_sync_changes_nothing_of_inferences_but_its_log():
    assert mounts("sync")["inference"] == {
        "name": "inference",
        "mountPath": "/var/lib/skerry/inference",
        "readOnly": True,
    }
    assert mounts("sync")["log"] == {"name": "log", "mountPath": "/var/lib/skerry/inference/log"}
    assert "readOnly" not in mounts("inference")["inference"]


def test_the_init_container_hands_over_every_host_path():
    (script,) = OWN_FOLDERS["command"][2:]
    (folders,) = (line for line in script.splitlines() if line.startswith("for folder in "))
    paths = [volume["hostPath"]["path"] for volume in PODS["volumes"] if "hostPath" in volume]
    handed = [f"/var/lib/skerry/{name}" for name in folders.removeprefix("for folder in ").split(";")[0].split()]
    assert sorted(handed) == sorted(paths)
    # A folder that has its owner is wholly done, so what is inside comes first.
    assert handed.index("/var/lib/skerry/inference/log") < handed.index("/var/lib/skerry/inference")


def test_sync_alone_gets_the_projected_token():
    assert mounts("sync")["api-access"]["readOnly"] is True
    (volume,) = [volume for volume in PODS["volumes"] if volume["name"] == "api-access"]
    assert "serviceAccountToken" in volume["projected"]["sources"][0]


@pytest.mark.parametrize("container", [*CONTAINERS.values(), OWN_FOLDERS], ids=lambda c: c["name"])
def test_every_container_has_requests_and_a_memory_limit(container):
    assert container["resources"]["requests"]["cpu"]
    assert container["resources"]["limits"]["memory"]


def test_every_node_runs_it_and_one_at_a_time_is_replaced():
    assert PODS["tolerations"] == [{"operator": "Exists"}]
    assert daemon_set(DOCUMENT)["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1}


@pytest.mark.parametrize(("service", "name"), list(zip(services(), ("skerry-inference", "skerry-events"), strict=True)))
def test_clients_stay_on_their_node_whatever_else_of_it_is_not_ready(service, name):
    assert service["metadata"]["name"] == name
    assert service["spec"]["internalTrafficPolicy"] == "Local"
    assert service["spec"]["publishNotReadyAddresses"] is True
    (port,) = service["spec"]["ports"]
    assert port["port"] == 80
    assert port["targetPort"] in {port["name"] for port in CONTAINERS["inference"]["ports"]}


@pytest.mark.parametrize(
    ("what", "kind", "named"),
    [("mqtt", "secret", "secretName"), ("producers", "secret", "secretName"), ("devices", "configMap", "name")],
)
def test_broker_producers_and_devices_are_optional_and_inference_alone_reads_them(what, kind, named):
    (volume,) = [volume for volume in PODS["volumes"] if volume["name"] == what]
    assert volume[kind] == {named: f"skerry-{what}", "optional": True}
    path = f"/etc/skerry/{what}"
    assert mounts("inference")[what] == {"name": what, "mountPath": path, "readOnly": True}
    assert {"name": f"SKERRY_{what.upper()}_DIR", "value": path} in CONTAINERS["inference"]["env"]
    assert what not in mounts("sync")


def test_the_sites_salt_is_for_sync_alone_and_its_absence_keeps_no_pod_from_starting():
    (volume,) = [volume for volume in PODS["volumes"] if volume["name"] == "salt"]
    assert volume["secret"] == {"secretName": "skerry-salt", "optional": True}
    assert mounts("sync")["salt"] == {"name": "salt", "mountPath": "/etc/skerry/salt", "readOnly": True}
    assert "salt" not in mounts("inference")


def test_every_volume_is_mounted_and_every_mount_has_its_volume():
    mounted = {mount["name"] for part in (*CONTAINERS.values(), OWN_FOLDERS) for mount in part["volumeMounts"]}
    assert mounted == {volume["name"] for volume in PODS["volumes"]}


def test_ports_are_told_apart():
    ports = [(port["name"], port["containerPort"]) for part in CONTAINERS.values() for port in part["ports"]]
    assert len(dict(ports)) == len({number for _, number in ports}) == len(ports)


def test_a_receiver_of_metrics_is_sync_s_alone_and_need_not_be_there():
    assert CONTAINERS["sync"]["envFrom"] == [{"secretRef": {"name": "skerry-otlp", "optional": True}}]
    assert "envFrom" not in CONTAINERS["inference"]


def test_sync_is_told_where_other_nodes_reach_it():
    address = {"name": "SKERRY_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    assert address in CONTAINERS["sync"]["env"]
