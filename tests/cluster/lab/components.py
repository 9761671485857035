"""What a node runs: command lines and configuration files, as pure functions of a cluster's facts.

Paths are those a process sees inside the node (see node.py): /run/skerry is the cluster's folder in the lab's
state, /var/lib and /var/log are the node's own disk.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from .layout import API_PORT

if TYPE_CHECKING:
    from .layout import ClusterSpec

INSIDE = "/run/skerry"
PAUSE_IMAGE = "localhost/skerry-pause:1"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
KUBELET_HEALTH_PORT = 10248
PROXY_HEALTH_PORT = 10256
_KINE = "127.0.0.1:2379"
# kine's own parameters, spelled out: naming a file takes them away. Its synchronous=NORMAL survives a kill, not a
# power cut, and so does K3s'.
_KINE_DATABASE = (
    "sqlite:///var/lib/kine/state.db?"
    "_journal_mode=WAL&_busy_timeout=30000&_synchronous=NORMAL&_txlock=immediate&_stmt_cache_size=20&cache=shared"
)


def command_lines(spec: ClusterSpec) -> dict[str, list[str]]:
    """Arguments of each component, program name first, by component."""
    pki = f"{INSIDE}/pki"
    pod_range, service_range = spec.pod_cidr, f"{spec.service_prefix}.0/24"
    return {
        "containerd": ["containerd", f"--config={INSIDE}/etc/containerd.toml"],
        "kine": [
            "kine",
            f"--listen-address={_KINE}",
            f"--endpoint={_KINE_DATABASE}",
            "--metrics-bind-address=0",
        ],
        "kube-apiserver": [
            "kube-apiserver",
            f"--etcd-servers=http://{_KINE}",
            f"--bind-address={spec.address}",
            f"--secure-port={API_PORT}",
            f"--advertise-address={spec.address}",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/client-ca.crt",
            f"--service-account-key-file={pki}/service-account.pub",
            f"--service-account-signing-key-file={pki}/service-account.key",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={service_range}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--enable-bootstrap-token-auth",
            "--allow-privileged",
            # One API server: the lease reconciler would let its Service go stale for 15 s after a kill.
            "--endpoint-reconciler-type=master-count",
            f"--kubelet-certificate-authority={pki}/server-ca.crt",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--profiling=false",
        ],
        "kube-controller-manager": [
            "kube-controller-manager",
            f"--kubeconfig={pki}/controller-manager.kubeconfig",
            f"--service-account-private-key-file={pki}/service-account.key",
            f"--root-ca-file={pki}/server-ca.crt",
            *_signers(pki),
            "--controllers=*,tokencleaner",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--secure-port=0",
            "--allocate-node-cidrs",
            f"--cluster-cidr={pod_range}",
            "--node-cidr-mask-size=24",
            f"--service-cluster-ip-range={service_range}",
            "--node-monitor-period=2s",
            "--node-monitor-grace-period=20s",
            "--profiling=false",
        ],
        "kube-scheduler": [
            "kube-scheduler",
            f"--kubeconfig={pki}/scheduler.kubeconfig",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        ],
        "kubelet": [
            "kubelet",
            f"--config={INSIDE}/etc/kubelet.yaml",
            f"--kubeconfig={pki}/kubelet.kubeconfig",
            f"--hostname-override={spec.node_name}",
            f"--node-ip={spec.address}",
        ],
        "kube-proxy": [
            "kube-proxy",
            f"--kubeconfig={pki}/kube-proxy.kubeconfig",
            f"--hostname-override={spec.node_name}",
            f"--cluster-cidr={pod_range}",
            "--proxy-mode=iptables",
            "--iptables-min-sync-period=200ms",
            f"--healthz-bind-address=127.0.0.1:{PROXY_HEALTH_PORT}",
            "--metrics-bind-address=127.0.0.1:10249",
            # The connection table's size belongs to the machine; a namespace may not set it.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
            "--oom-score-adj=0",
        ],
    }


def _signers(pki: str) -> list[str]:
    """Each signer with its own authority, as K3s has it: what one signs, the other's verifiers refuse."""
    by_signer = {
        "kube-apiserver-client": "client-ca",
        "kubelet-client": "client-ca",
        "kubelet-serving": "server-ca",
        "legacy-unknown": "server-ca",
    }
    return [
        f"--cluster-signing-{signer}-{what}-file={pki}/{authority}.{ending}"
        for signer, authority in by_signer.items()
        for what, ending in (("cert", "crt"), ("key", "key"))
    ]


def config_files(spec: ClusterSpec, cni_folder: str) -> dict[str, str]:
    """Text of each configuration file, by its path below the cluster's etc folder."""
    return {
        "containerd.toml": _containerd(cni_folder),
        "kubelet.yaml": yaml.safe_dump(_kubelet(spec), sort_keys=False),
        "cni/10-bridge.conflist": json.dumps(_cni(spec), indent=1),
        # No resolver: there is no outside, and an address that answers nobody would cost each lookup its timeout.
        "resolv.conf": "options timeout:1 attempts:1\n",
    }


def _containerd(cni_folder: str) -> str:
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE (many virtual machines) every sandbox would fail to start.
    # The opt plugin makes a folder in /opt of this machine.
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_folder}"
    conf_dir = "{INSIDE}/etc/cni"
"""


def _kubelet(spec: ClusterSpec) -> dict[str, object]:
    pki = f"{INSIDE}/pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/client-ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/kubelet-server.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet-server.key",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{spec.cgroup}",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "resolvConf": f"{INSIDE}/etc/resolv.conf",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "seccompDefault": True,
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "4s",
        "readOnlyPort": 0,
        "healthzPort": KUBELET_HEALTH_PORT,
        # This machine's disk and memory are shared by all nodes of the lab: one's pressure must not evict from all.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # Images are imported by hand here, so none can be fetched again.
        "imageGCHighThresholdPercent": 100,
    }


def _cni(spec: ClusterSpec) -> dict[str, object]:
    return {
        "cniVersion": "0.4.0",
        "name": "lab",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    # Below /run: after a power cut no pod is left that would give its address back.
                    "dataDir": "/run/cni-addresses",
                    "ranges": [[{"subnet": spec.pod_cidr}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
