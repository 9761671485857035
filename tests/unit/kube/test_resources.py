import pytest

from skerry_core.errors import RetryError, SkerryError, UserMustActError, WaitError
from skerry_operator.kube.errors import ConflictError, GoneError, of_status
from skerry_operator.kube.resources import EDGE_SITES, SECRETS, SITE_ASSIGNMENTS


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (EDGE_SITES.path(), "/apis/skerry.dev/v1alpha1/edgesites"),
        (EDGE_SITES.path(name="site-a", subresource="status"), "/apis/skerry.dev/v1alpha1/edgesites/site-a/status"),
        (SITE_ASSIGNMENTS.path(), "/apis/skerry.dev/v1alpha1/siteassignments"),
        (SECRETS.path("team", "grant"), "/api/v1/namespaces/team/secrets/grant"),
    ],
)
def test_paths(path, expected):
    assert path == expected


def test_a_path_that_means_nothing_is_refused():
    with pytest.raises(ValueError, match="cluster-scoped"):
        EDGE_SITES.path("team")
    with pytest.raises(ValueError, match="needs a namespace"):
        SECRETS.path(name="grant")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, UserMustActError),
        (401, WaitError),
        (403, WaitError),
        (404, WaitError),
        (409, ConflictError),
        (410, GoneError),
        (422, UserMustActError),
        (429, RetryError),
        (500, WaitError),
        (503, WaitError),
        (302, WaitError),
    ],
)
def test_an_answer_is_an_error_of_the_right_class(code, kind):
    error = of_status(code, {"message": "because"}, "GET /x")
    assert isinstance(error, kind)
    assert isinstance(error, SkerryError)
    assert "because" in str(error)
    assert str(code) in str(of_status(code, None, "GET /x"))
