"""Makes the keys, certificates and the token by which the cluster's parts know each other; they live as long as it."""

import secrets
import subprocess
from pathlib import Path

from tests.cluster.onenode.places import API_PORT, API_SERVICE, NODE_ADDRESS, Places

NAMES = f"subjectAltName=DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:{API_SERVICE},IP:{NODE_ADDRESS}"
DAYS = "30"


def make(places: Places) -> None:
    """Write everything under `places.pki`, and the kubeconfig of the admin."""
    places.pki.mkdir(parents=True, exist_ok=True)
    places.run.chmod(0o700)
    openssl(places, "genrsa", "-out", "sa.key", "2048")
    openssl(places, "rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
    authority = ["-days", DAYS, "-subj", "/CN=espnet3-test", "-keyout", "ca.key", "-out", "ca.crt"]
    openssl(places, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *authority)
    certificate(places, "api", "/CN=kube-apiserver", NAMES)
    # the API server's own way into the kubelet: kubectl logs and exec
    certificate(
        places, "kubelet-client", "/O=system:masters/CN=apiserver-kubelet-client", "extendedKeyUsage=clientAuth"
    )
    token = secrets.token_hex(16)
    (places.pki / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n", encoding="ascii")
    places.kubeconfig.write_text(kubeconfig(places.pki / "ca.crt", token), encoding="ascii")
    places.kubeconfig.chmod(0o600)


def certificate(places: Places, name: str, subject: str, extension: str) -> None:
    """A key and a certificate that our authority signs."""
    request = ["-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr"]
    openssl(places, "req", "-newkey", "rsa:2048", "-nodes", *request)
    (places.pki / f"{name}.ext").write_text(extension, encoding="ascii")
    authority = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", DAYS, "-extfile", f"{name}.ext"]
    openssl(places, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *authority)


def openssl(places: Places, *words: str) -> None:
    """Run openssl in the folder of the keys."""
    subprocess.run(["openssl", *words], cwd=places.pki, check=True, capture_output=True)


def kubeconfig(authority: Path, token: str) -> str:
    """The admin's kubeconfig."""
    return f"""apiVersion: v1
kind: Config
clusters:
- name: espnet3-test
  cluster: {{server: "https://127.0.0.1:{API_PORT}", certificate-authority: {authority}}}
users: [{{name: admin, user: {{token: "{token}"}}}}]
contexts: [{{name: espnet3-test, context: {{cluster: espnet3-test, user: admin}}}}]
current-context: espnet3-test
"""
