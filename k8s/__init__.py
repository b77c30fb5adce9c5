"""The workflow generator: from a recipe and a cluster's profile to Kubernetes objects.

`python -m k8s` is its only user. It derives everything: the stages from the recipe's run.py, their containers from
`stages/` and the recipe's `conf/workflow.yaml`, the cluster from `profiles/`, the retry rules from `espnet3.errors`. It
runs no stage, needs no cluster to render, and is the only package that imports hera and kubernetes.
"""
