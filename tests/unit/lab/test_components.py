import json
import tomllib
from pathlib import Path

import yaml

from tests.cluster.lab.components import PAUSE_IMAGE, command_lines, config_files
from tests.cluster.lab.labcluster import COMPONENTS
from tests.cluster.lab.layout import Layout

SITE = Layout(instance=2, state=Path("/STATE"), cache=Path("/CACHE")).cluster("site-b")
LINES = command_lines(SITE)


def flags(component: str) -> dict[str, str]:
    parts = [flag.removeprefix("--").partition("=") for flag in LINES[component][1:]]
    return {name: value for name, _, value in parts}


def test_every_component_has_a_command_line_of_its_own_program() -> None:
    assert set(LINES) == set(COMPONENTS)
    assert all(line[0] == component for component, line in LINES.items())


def test_no_path_of_this_machine_reaches_a_node() -> None:
    words = [word for line in LINES.values() for word in line] + list(config_files(SITE, "/cni").values())
    assert not any("/STATE" in word or "/CACHE" in word for word in words)


def test_api_server_is_what_enrollment_needs() -> None:
    api = flags("kube-apiserver")
    assert "enable-bootstrap-token-auth" in api
    assert api["authorization-mode"] == "Node,RBAC"
    assert api["enable-admission-plugins"] == "NodeRestriction"
    assert api["bind-address"] == SITE.address
    assert flags("kine")["listen-address"] == api["etcd-servers"].removeprefix("http://")


def test_clients_and_servers_have_different_authorities() -> None:
    manager = flags("kube-controller-manager")
    assert manager["cluster-signing-kube-apiserver-client-cert-file"] == flags("kube-apiserver")["client-ca-file"]
    assert manager["cluster-signing-kubelet-serving-cert-file"] == manager["root-ca-file"]
    assert manager["root-ca-file"] != flags("kube-apiserver")["client-ca-file"]


def test_networks_agree_between_components() -> None:
    files = config_files(SITE, "/cni")
    subnet = json.loads(files["cni/10-bridge.conflist"])["plugins"][0]["ipam"]["ranges"][0][0]["subnet"]
    assert (
        subnet
        == SITE.pod_cidr
        == flags("kube-controller-manager")["cluster-cidr"]
        == flags("kube-proxy")["cluster-cidr"]
    )
    assert (
        flags("kube-apiserver")["service-cluster-ip-range"]
        == flags("kube-controller-manager")["service-cluster-ip-range"]
    )


def test_configuration_files_parse() -> None:
    files = config_files(SITE, "/usr/lib/cni")
    containerd = tomllib.loads(files["containerd.toml"])["plugins"]["io.containerd.grpc.v1.cri"]
    assert containerd["sandbox_image"] == PAUSE_IMAGE
    assert containerd["cni"]["bin_dir"] == "/usr/lib/cni"
    kubelet = yaml.safe_load(files["kubelet.yaml"])
    assert kubelet["cgroupRoot"] == "/skerry2/site-b"
    assert kubelet["oomScoreAdj"] == 0
