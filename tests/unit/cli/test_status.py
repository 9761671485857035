import json
from datetime import UTC, datetime, timedelta

import pytest

from skerry_operator.cli.cells import ago, short
from skerry_operator.kube.errors import UnavailableError
from skerry_operator.kube.resources import EDGE_SITES, MODELS
from tests.unit.cli.fleet import digest, model, put, site, small_fleet


def rows(text, column):
    """Lines of the table whose header holds `column`, split at runs of two blanks."""
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if column in line)
    table = []
    for line in lines[start + 1 :]:
        if not line.strip():
            break
        table.append([cell.strip() for cell in line.split("  ") if cell.strip()])
    return table


def test_shows_models_releases_and_sites_by_ring(run, kube):
    small_fleet(kube)
    answer = run("status")
    assert answer.exit_code == 0, answer.stderr
    assert rows(answer.stdout, "APPROVED") == [["plants", "har", "1.1.0", "110000000000", "1.0.0", "yes"]]
    releases = rows(answer.stdout, "PHASE  ")
    assert [row[:4] for row in releases] == [
        ["har-1.3.0", "1.3.0", "130000000000", "Progressing"],
        ["har-1.2.0", "1.2.0", "120000000000", "RolledBack"],
        ["har-1.1.0", "1.1.0", "110000000000", "Approved"],
        ["har-1.0.0", "1.0.0", "100000000000", "Superseded"],
    ]
    assert releases[0][4] == "internal 1/2, fleet 0/1 (1 away)"
    assert releases[1][4] == "Disagreement"
    sites = rows(answer.stdout, "SITE")
    assert [row[1:6] for row in sites] == [
        ["internal", "site-b", "1.3.0", "130000000000", "Serving"],
        ["internal", "site-z", "1.3.0", "130000000000", "Canary"],
        ["fleet", "site-a", "1.1.0", "110000000000", "Serving"],
    ]
    assert sites[0][6] == "never"
    assert sites[2][6].endswith("d")


def test_prints_json(run, kube):
    small_fleet(kube)
    wire = json.loads(run("status", "har", "--json").stdout)
    assert wire["models"][0]["status"]["approved"]["version"] == "1.1.0"
    assert [each["spec"]["version"] for each in wire["releases"]] == ["1.3.0", "1.2.0", "1.1.0", "1.0.0"]
    assert wire["sites"][2]["ring"] == "fleet"
    assert wire["sites"][2]["served"]["digest"] == digest("1.1.0")
    assert wire["sites"][2]["lastSeen"] == "2026-07-01T00:00:00+00:00"


def test_a_site_without_a_ring_or_a_report_is_shown_too(run, kube):
    put(kube, MODELS, model())
    put(kube, EDGE_SITES, {**site("site-a", "none", None), "status": {}})
    assert rows(run("status").stdout, "SITE") == [["har", "-", "site-a", "-", "-", "-", "never"]]


def test_a_site_that_the_model_does_not_take_is_not_shown(run, kube):
    small_fleet(kube)
    put(kube, EDGE_SITES, site("site-x", "other", "1.1.0"))
    kube.delete(MODELS, "har", "plants")
    put(kube, MODELS, model("1.1.0", siteSelector={"matchLabels": {"tier": "fleet"}}))
    assert [row[2] for row in rows(run("status").stdout, "SITE")] == ["site-a"]


FROM_FLEET = {"matchLabels": {"tier": "fleet"}}


def test_a_site_that_gives_the_model_up_is_shown_while_it_has_it(run, kube):
    put(kube, MODELS, model(siteSelector={"matchLabels": {"tier": "internal"}}, removeFrom=FROM_FLEET))
    put(kube, EDGE_SITES, site("site-a", "fleet", "1.1.0"))
    put(kube, EDGE_SITES, {**site("site-b", "fleet", None), "status": {}})
    put(kube, EDGE_SITES, site("site-c", "internal", "1.1.0"))
    assert {row[2] for row in rows(run("status").stdout, "SITE")} == {"site-a", "site-c"}


@pytest.mark.parametrize(
    ("args", "message"), [(("-n", "empty"), "no models in namespace empty"), (("nothing", "-A"), "no models anywhere")]
)
def test_says_when_there_is_nothing(run, kube, args, message):
    answer = run("status", *args)
    assert answer.exit_code == 0
    assert message in answer.stderr


def test_all_namespaces(run, kube):
    small_fleet(kube)
    assert "har" in run("status", "-A").stdout
    assert "har" not in run("status", "-n", "other").stdout


def test_an_api_server_that_is_down_is_one_line(run, kube, monkeypatch):
    def down(*_):
        raise UnavailableError("ApiUnavailable", "GET /apis: connection refused")

    monkeypatch.setattr(kube, "list", down)
    answer = run("status")
    assert answer.exit_code == 1
    assert answer.stderr == "error: GET /apis: connection refused\n"


def test_without_a_kubeconfig_says_what_to_set(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    answer = run("status")
    assert answer.exit_code == 1
    assert "set KUBECONFIG or --context" in answer.stderr


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(minutes=2), "2m"),
        (timedelta(minutes=119), "119m"),
        (timedelta(hours=47), "47h"),
        (timedelta(days=2), "2d"),
    ],
)
def test_ages_are_in_one_unit(age, expected):
    now = datetime(2026, 8, 1, tzinfo=UTC)
    assert ago(now - age, now) == expected


def test_digests_are_short():
    assert short(digest("1.2.3")) == "123000000000"
    assert short(None) == "-"
