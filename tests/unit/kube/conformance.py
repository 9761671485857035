"""What every KubeApi does; run over the memory one here and over a real API server in the lab."""

import pytest

from skerry_operator.kube.errors import ConflictError, NotServedError
from skerry_operator.kube.resources import EDGE_SITES


def site(name: str, **spec) -> dict:
    whole = {"siteClassName": "lab", **spec}
    return {
        "apiVersion": EDGE_SITES.api_version,
        "kind": EDGE_SITES.kind,
        "metadata": {"name": name, "labels": {"suite": "conformance"}},
        "spec": whole,
    }


class KubeConformance:
    """Subclasses give a fixture `kube`: an API server that knows our kinds and has no site of this suite."""

    def test_what_is_not_there_is_none(self, kube):
        assert kube.get(EDGE_SITES, "kc-none") is None
        kube.delete(EDGE_SITES, "kc-none")

    def test_create_then_get_list_and_delete(self, kube):
        made = kube.create(EDGE_SITES, site("kc-a"))
        assert made["metadata"]["generation"] == 1
        assert kube.get(EDGE_SITES, "kc-a")["spec"] == made["spec"]
        listed = kube.list(EDGE_SITES, label_selector="suite=conformance")
        assert [(item["kind"], item["metadata"]["name"]) for item in listed.items] == [("EdgeSite", "kc-a")]
        assert kube.list(EDGE_SITES, label_selector="suite=other").items == ()
        with pytest.raises(ConflictError):
            kube.create(EDGE_SITES, site("kc-a"))
        kube.delete(EDGE_SITES, "kc-a")
        assert kube.get(EDGE_SITES, "kc-a") is None

    def test_a_status_is_written_apart_and_does_not_move_the_generation(self, kube):
        made = kube.create(EDGE_SITES, site("kc-b"))
        body = {**made, "spec": {"siteClassName": "other"}, "status": {"summary": "har 1.0.0"}}
        written = kube.replace(EDGE_SITES, body, "status")
        assert written["status"]["summary"] == "har 1.0.0"
        assert written["spec"]["siteClassName"] == "lab"
        assert written["metadata"]["generation"] == 1
        changed = kube.replace(EDGE_SITES, {**written, "spec": {"siteClassName": "new"}, "status": {}})
        assert changed["metadata"]["generation"] == 2
        assert changed["status"]["summary"] == "har 1.0.0"

    def test_a_status_needs_no_spec(self, kube):
        made = kube.create(EDGE_SITES, site("kc-c"))
        metadata = {"name": "kc-c", "resourceVersion": made["metadata"]["resourceVersion"]}
        body = {"apiVersion": made["apiVersion"], "kind": made["kind"], "metadata": metadata}
        written = kube.replace(EDGE_SITES, {**body, "status": {"summary": "har 1.0.0"}}, "status")
        assert written["spec"] == made["spec"]

    def test_an_old_version_is_a_conflict(self, kube):
        made = kube.create(EDGE_SITES, site("kc-d"))
        kube.patch(EDGE_SITES, "kc-d", None, {"spec": {"hold": True}})
        with pytest.raises(ConflictError):
            kube.replace(EDGE_SITES, {**made, "spec": {"siteClassName": "lab", "hold": False}})

    def test_apply_creates_then_merges(self, kube):
        kube.apply(EDGE_SITES, site("kc-e", hold=True))
        written = kube.apply(EDGE_SITES, site("kc-e", hold=True, hubAcceptsClient=True))
        assert written["spec"] == {"siteClassName": "lab", "hold": True, "hubAcceptsClient": True}
        assert written["metadata"]["generation"] == 2

    def test_a_list_that_is_applied_empty_holds_nothing(self, kube):
        kube.create(EDGE_SITES, site("kc-g"))
        metadata, served = {"name": "kc-g"}, {"namespace": "factory", "model": "har", "phase": "Serving"}
        written = kube.apply(EDGE_SITES, {"metadata": metadata, "status": {"serving": [served]}}, "status")
        assert written["status"]["serving"] == [served]
        written = kube.apply(EDGE_SITES, {"metadata": metadata, "status": {"serving": []}}, "status")
        assert not written["status"].get("serving")

    def test_a_patch_removes_what_is_null(self, kube):
        kube.create(EDGE_SITES, site("kc-f", hold=True))
        written = kube.patch(EDGE_SITES, "kc-f", None, {"spec": {"hold": None}})
        assert "hold" not in written["spec"]
        with pytest.raises(NotServedError):
            kube.patch(EDGE_SITES, "kc-none", None, {"spec": {"hold": True}})

    def test_a_watch_goes_on_from_a_listing(self, kube):
        since = kube.list(EDGE_SITES).resource_version
        kube.create(EDGE_SITES, site("kc-g"))
        kube.patch(EDGE_SITES, "kc-g", None, {"spec": {"hold": True}})
        kube.delete(EDGE_SITES, "kc-g")
        events = kube.watch(EDGE_SITES, since=since, name="kc-g", timeout=2)
        assert [event.type for event in events if event.type != "BOOKMARK"] == ["ADDED", "MODIFIED", "DELETED"]
