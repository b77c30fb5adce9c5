"""The container images: one folder with a Dockerfile per dependency set, and the program that builds, tests and
pushes them.

`make images`, `make smoke` and `make push` call `python -m images`. Nothing here is in the wheel or in an image, but
what lies in `images/inside`, which runs inside the builds.
"""
