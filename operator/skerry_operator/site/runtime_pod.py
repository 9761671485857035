"""The runtime's DaemonSet and Services, from an assignment's runtime template and site name alone. Pure.

A change of models must never change this template: it would restart pods that serve. So nothing here reads
`document.models`, and a test holds that over generated documents.
"""

from typing import Any

from skerry_api.kinds import RUNTIME_NAMESPACE
from skerry_api.v1alpha1.siteclass import Resources
from skerry_core.assignment.document import AssignmentDocument, RuntimeTemplate
from skerry_operator.site.names import (
    DEVICES,
    EVENTS_PORT,
    EVENTS_SERVICE,
    EVIDENCE_PORT,
    INFERENCE_PORT,
    INFERENCE_SERVICE,
    LINK,
    MQTT,
    OTLP,
    PRODUCERS,
    RUNTIME,
    RUNTIME_LABELS,
    SALT,
    SYNC_PORT,
    TRUST,
)

KubeObject = dict[str, Any]

_UID = 65532
_ROOT = "/var/lib/skerry"
_TRUST_DIR = "/etc/skerry/trust"
_MQTT_DIR = "/etc/skerry/mqtt"
_PRODUCERS_DIR = "/etc/skerry/producers"
_DEVICES_DIR = "/etc/skerry/devices"
_SALT_DIR = "/etc/skerry/salt"
_TOKEN_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_FOLDERS = ("store", "inference", "sync")
_LOG = "inference/log"

_DEFAULT_INFERENCE = Resources(requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "1Gi"})
_DEFAULT_SYNC = Resources(requests={"cpu": "20m", "memory": "64Mi"}, limits={"memory": "160Mi"})

# A hostPath takes no fsGroup. `chown -R` goes depth first, so a folder that has its owner is wholly done, also when
# power failed midway: later starts cost one stat per folder however long the log is. The kubelet makes the log's folder
# where it is missing, as root and also within an inference folder that was handed over before.
_OWN = """set -eu
for folder in store inference/log inference sync; do
  path=/var/lib/skerry/$folder
  if [ "$(stat -c %u:%g "$path")" != 65532:65532 ]; then chown -R 65532:65532 "$path"; fi
  chmod 0750 "$path"
done
"""


def daemon_set(document: AssignmentDocument) -> KubeObject:
    """The DaemonSet to apply, without ownerReferences: nothing that is deleted may take the runtime along."""
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": RUNTIME, "namespace": RUNTIME_NAMESPACE, "labels": dict(RUNTIME_LABELS)},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": RUNTIME}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {
                "metadata": {
                    "labels": dict(RUNTIME_LABELS),
                    "annotations": {"kubectl.kubernetes.io/default-container": "inference"},
                },
                "spec": _pod(document.site, document.runtime),
            },
        },
    }


def services() -> tuple[KubeObject, ...]:
    """The Services that clients call: one for inference, one for events.

    A node's clients reach that node's runtime only, so no network is needed.
    """
    return _service(INFERENCE_SERVICE, "http"), _service(EVENTS_SERVICE, "events")


def _service(name: str, port: str) -> KubeObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": RUNTIME_NAMESPACE, "labels": dict(RUNTIME_LABELS)},
        "spec": {
            "selector": {"app.kubernetes.io/name": RUNTIME},
            "internalTrafficPolicy": "Local",
            # A pod is ready only while all of its containers are: a sync that starts again, or a node that has no model
            # yet, must not keep clients from what answers.
            "publishNotReadyAddresses": True,
            "ports": [{"name": port, "port": 80, "targetPort": port, "protocol": "TCP"}],
        },
    }


def _pod(site: str, template: RuntimeTemplate) -> KubeObject:
    return {
        "serviceAccountName": RUNTIME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": RUNTIME,
        "terminationGracePeriodSeconds": 30,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        # Every node that can run a pod serves, cordoned and tainted ones included.
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "runAsGroup": _UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_own_folders(template.image)],
        "containers": [_inference(site, template), _sync(site, template)],
        "volumes": _volumes(),
    }


def _own_folders(image: str) -> KubeObject:
    return {
        "name": "own-folders",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", _OWN],
        "securityContext": {
            **_confined(),
            "runAsNonRoot": False,
            "runAsUser": 0,
            "runAsGroup": 0,
            "capabilities": {"drop": ["ALL"], "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER"]},
        },
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "volumeMounts": [_folder(name) for name in _FOLDERS],
    }


def _inference(site: str, template: RuntimeTemplate) -> KubeObject:
    return {
        "name": "inference",
        "image": template.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "skerry_edge.inference"],
        "env": [
            *_environment(site),
            {"name": "SKERRY_MQTT_DIR", "value": _MQTT_DIR},
            {"name": "SKERRY_PRODUCERS_DIR", "value": _PRODUCERS_DIR},
            {"name": "SKERRY_DEVICES_DIR", "value": _DEVICES_DIR},
        ],
        "ports": [
            {"name": "http", "containerPort": INFERENCE_PORT, "protocol": "TCP"},
            {"name": "evidence", "containerPort": EVIDENCE_PORT, "protocol": "TCP"},
            {"name": "events", "containerPort": EVENTS_PORT, "protocol": "TCP"},
        ],
        # Loading can be slow on a small device; until it is done once, nothing may be killed for slowness.
        "startupProbe": _probe("/v2/health/live", "http", period=1, failures=120),
        # Killing a busy champion helps nobody: only a minute without an answer counts as dead.
        "livenessProbe": _probe("/v2/health/live", "http", period=10, failures=6),
        "readinessProbe": _probe("/v2/health/ready", "http", period=2, failures=3),
        "securityContext": _confined(),
        "resources": _resources(template.resources.inference, _DEFAULT_INFERENCE),
        "volumeMounts": [
            _folder("store", read_only=True),
            _folder("inference"),
            _mount("trust", _TRUST_DIR, read_only=True),
            _mount("mqtt", _MQTT_DIR, read_only=True),
            _mount("producers", _PRODUCERS_DIR, read_only=True),
            _mount("devices", _DEVICES_DIR, read_only=True),
            _mount("tmp", "/tmp"),  # noqa: S108 - an emptyDir of this pod
        ],
    }


def _sync(site: str, template: RuntimeTemplate) -> KubeObject:
    return {
        "name": "sync",
        "image": template.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "skerry_edge.sync"],
        # `sync/link.json` on the node's volume says otherwise whenever the site's owner wants it to.
        "env": [
            *_environment(site),
            _optional("SKERRY_LINK_METERED", LINK, "metered"),
            # Where the site's other nodes get snapshots of features.
            {"name": "SKERRY_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        # OTEL_* variables, if this site has a receiver; what changes in them holds for pods that start afterwards.
        "envFrom": [{"secretRef": {"name": OTLP, "optional": True}}],
        "ports": [{"name": "sync", "containerPort": SYNC_PORT, "protocol": "TCP"}],
        "livenessProbe": _probe("/livez", "sync", period=10, failures=6),
        "readinessProbe": _probe("/readyz", "sync", period=5, failures=3),
        "securityContext": _confined(),
        "resources": _resources(template.resources.sync, _DEFAULT_SYNC),
        "volumeMounts": [
            _folder("store"),
            _folder("sync"),
            _folder("inference", read_only=True),
            # Writable for one reason: removing log segments that are wholly uploaded.
            _mount("log", f"{_ROOT}/{_LOG}"),
            _mount("trust", _TRUST_DIR, read_only=True),
            _mount("salt", _SALT_DIR, read_only=True),
            _mount("api-access", _TOKEN_DIR, read_only=True),
            _mount("tmp", "/tmp"),  # noqa: S108 - an emptyDir of this pod
        ],
    }


def _volumes() -> list[KubeObject]:
    return [
        *(_host_path(name, name) for name in _FOLDERS),
        _host_path("log", _LOG),
        {"name": "trust", "configMap": {"name": TRUST}},
        # The site's broker, if it has one; what changes in it is taken up without a restart.
        {"name": "mqtt", "secret": {"secretName": MQTT, "optional": True}},
        # Who may send events, if this site wants to know; taken up in the same way.
        {"name": "producers", "secret": {"secretName": PRODUCERS, "optional": True}},
        # What this site knows of its devices, if it does; taken up in the same way.
        {"name": "devices", "configMap": {"name": DEVICES, "optional": True}},
        # Optional: nodes keep a copy, and a Secret that was deleted must keep no pod from starting.
        {"name": "salt", "secret": {"secretName": SALT, "optional": True}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        {
            # What automounting would give, for sync alone: inference holds no credential.
            "name": "api-access",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
                    {
                        "configMap": {
                            "name": "kube-root-ca.crt",
                            "items": [{"key": "ca.crt", "path": "ca.crt"}],
                        }
                    },
                    {
                        "downwardAPI": {
                            "items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]
                        }
                    },
                ]
            },
        },
    ]


def _environment(site: str) -> list[KubeObject]:
    return [
        {"name": "SKERRY_SITE", "value": site},
        {"name": "SKERRY_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "SKERRY_ROOT", "value": _ROOT},
        {"name": "SKERRY_TRUST_DIR", "value": _TRUST_DIR},
    ]


def _optional(variable: str, config_map: str, key: str) -> KubeObject:
    """A variable from a ConfigMap that need not be there; what changes in it holds for pods that start afterwards."""
    return {"name": variable, "valueFrom": {"configMapKeyRef": {"name": config_map, "key": key, "optional": True}}}


def _confined() -> KubeObject:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _resources(asked: Resources | None, default: Resources) -> KubeObject:
    chosen = asked or default
    return {
        name: dict(amounts) for name, amounts in (("requests", chosen.requests), ("limits", chosen.limits)) if amounts
    }


def _probe(path: str, port: str, *, period: int, failures: int) -> KubeObject:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _host_path(name: str, folder: str) -> KubeObject:
    return {"name": name, "hostPath": {"path": f"{_ROOT}/{folder}", "type": "DirectoryOrCreate"}}


def _folder(name: str, *, read_only: bool = False) -> KubeObject:
    return _mount(name, f"{_ROOT}/{name}", read_only=read_only)


def _mount(name: str, path: str, *, read_only: bool = False) -> KubeObject:
    mount: KubeObject = {"name": name, "mountPath": path}
    return mount | {"readOnly": True} if read_only else mount
