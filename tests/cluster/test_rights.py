"""What the chart's accounts may do, as the API server says: next to nothing."""

import pytest

from tests.cluster.kube import Cluster, Refused
from tests.cluster.rights import may

ACCOUNTS = ("espnet3-stage", "espnet3-publisher", "espnet3-executor")
QUESTIONS = {
    "read secrets": ("get", "secrets"),
    "list secrets": ("list", "secrets"),
    "start pods": ("create", "pods"),
    "enter pods": ("create", "pods/exec"),
    "read pods": ("get", "pods"),
    "delete pods": ("delete", "pods"),
    "start jobs": ("create", "jobs.batch"),
    "read claims": ("get", "persistentvolumeclaims"),
    "give itself rights": ("create", "rolebindings.rbac.authorization.k8s.io"),
    "make tokens": ("create", "serviceaccounts/token"),
    "start workflows": ("create", "workflows.argoproj.io"),
    "read results of steps": ("get", "workflowtaskresults.argoproj.io"),
    "delete results of steps": ("delete", "workflowtaskresults.argoproj.io"),
}


def account_may(cluster: Cluster, account: str, verb: str, resource: str) -> bool:
    user = f"system:serviceaccount:{cluster.namespace}:{account}"
    return may(cluster, user, verb, resource, groups=["system:serviceaccounts"])


@pytest.mark.parametrize("account", ACCOUNTS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_an_account_may_not(chart: Cluster, account: str, question: str) -> None:
    assert not account_may(chart, account, *QUESTIONS[question])


@pytest.mark.parametrize("account", ACCOUNTS)
def test_only_the_executor_reports_results_of_steps(chart: Cluster, account: str) -> None:
    allowed = [account_may(chart, account, verb, "workflowtaskresults.argoproj.io") for verb in ("create", "patch")]
    assert allowed == [account == "espnet3-executor"] * 2


def test_a_pod_that_is_not_restricted_is_refused(chart: Cluster) -> None:
    container = {"name": "main", "image": "localhost/none", "securityContext": {"privileged": True}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": {"containers": [container]}}
    with pytest.raises(Refused, match="restricted"):
        chart.apply(pod)


def test_a_stage_gets_no_token_of_the_api_server(chart: Cluster) -> None:
    for account in ("espnet3-stage", "espnet3-publisher"):
        assert chart.read(f"serviceaccount/{account}")["automountServiceAccountToken"] is False
