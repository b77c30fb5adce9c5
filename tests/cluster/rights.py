"""Asks the API server what somebody may do, for the tests of the chart's accounts and of its users."""

import json
from collections.abc import Sequence

from tests.cluster.kube import Cluster


def may(cluster: Cluster, user: str, verb: str, resource: str, groups: Sequence[str] = ()) -> bool:
    """Whether `user` may `verb` `resource`, written `pods`, `pods/log` or `jobs.batch`, in the cluster's namespace.

    `kubectl auth can-i` answers no for every resource that the cluster does not know, and Argo's need not be there.
    """
    kind, _, group = resource.partition(".")
    name, _, part = kind.partition("/")
    asked = {"namespace": cluster.namespace, "verb": verb, "resource": name, "subresource": part, "group": group}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": [*groups], "resourceAttributes": asked},
    }
    answer = cluster.kubectl("create", "--filename=-", "--output=jsonpath={.status.allowed}", stdin=json.dumps(review))
    return {"true": True, "false": False, "": False}[answer]
