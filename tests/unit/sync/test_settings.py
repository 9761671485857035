from pathlib import Path

import pytest

from skerry_core.errors import UserMustActError
from skerry_edge.sync.settings import Settings

MINIMAL = {
    "SKERRY_SITE": "site-a",
    "SKERRY_NODE": "node-1",
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
}


def test_the_pod_template_needs_to_say_little():
    settings = Settings.from_environment(MINIMAL)
    assert settings.root == Path("/var/lib/skerry")
    assert settings.trust == Path("/etc/skerry/trust")
    assert settings.api_server == "https://10.0.0.1:443"
    assert settings.inference_status == "http://127.0.0.1:8081/status"
    assert settings.health_port == 8082


def test_an_ipv6_service_address_is_bracketed():
    settings = Settings.from_environment(MINIMAL | {"KUBERNETES_SERVICE_HOST": "fd00::1"})
    assert settings.api_server == "https://[fd00::1]:443"


@pytest.mark.parametrize("name", MINIMAL)
def test_what_is_missing_is_named(name):
    with pytest.raises(UserMustActError, match=name) as caught:
        Settings.from_environment(MINIMAL | {name: ""})
    assert caught.value.reason == "SettingsIncomplete"


@pytest.mark.parametrize(
    ("value", "metered"), [(None, False), ("", False), ("false", False), ("true", True), ("True", True)]
)
def test_the_link_costs_if_the_chart_says_so(value, metered):
    environment = MINIMAL if value is None else MINIMAL | {"SKERRY_LINK_METERED": value}
    assert Settings.from_environment(environment).metered is metered


@pytest.mark.parametrize(
    ("own", "address"), [(None, ""), ("", ""), ("10.1.2.3", "10.1.2.3:8082"), ("fd00::7", "[fd00::7]:8082")]
)
def test_where_other_nodes_reach_this_one(own, address):
    told = {} if own is None else {"SKERRY_ADDRESS": own}
    assert Settings.from_environment(MINIMAL | told).address == address
