"""How this machine reaches package indexes, as files that a build mounts as secrets.

The build calls `write_secrets`. Proxies, pip's configuration, uv's configuration and the certificates go into three
files under a scratch folder; none of it reaches a layer, an image's history or a commit.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
# pip's name -> uv's, for uv does not read pip's configuration.
INDEX_SETTINGS = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "trusted-host": "UV_INSECURE_HOST"}
TIMEOUTS = ("PIP_DEFAULT_TIMEOUT", "PIP_RETRIES", "UV_HTTP_TIMEOUT")
CERTIFICATES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
SECRETS = ("network", "certificates", "uv")


def write_secrets(folder: Path) -> dict[str, Path]:
    """Write the secrets' files; those that this machine has no need of stay empty."""
    pip = pip_settings()
    files = {name: folder / name for name in SECRETS}
    lines = [f"{key}={value}" for key, value in sorted(environment(os.environ, pip).items())]
    files["network"].write_text("\n".join(lines), encoding="utf-8")
    _copy(certificates(os.environ, pip), files["certificates"])
    _copy(os.environ.get("UV_CONFIG_FILE") or str(Path.home() / ".config/uv/uv.toml"), files["uv"])
    for file in files.values():
        file.chmod(0o600)
    return files


def pip_settings() -> dict[str, str]:
    """Pip's configuration as pip itself sees it: files and environment, by bare setting name."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return dict(re.findall(r"^[\w:-]+\.([\w-]+)='(.*)'$", listing, re.MULTILINE))


def environment(machine: Mapping[str, str], pip: Mapping[str, str]) -> dict[str, str]:
    """The variables that a build needs: proxies, timeouts, and the indexes for pip and for uv."""
    found = {key: value for key, value in machine.items() if key in PROXIES + TIMEOUTS or key.startswith("UV_INDEX")}
    for setting, variable in INDEX_SETTINGS.items():
        if setting in pip:
            value = " ".join(pip[setting].replace("\\n", " ").split())
            found["PIP_" + setting.upper().replace("-", "_")] = value
            found[variable] = value
    for variable in ("UV_DEFAULT_INDEX", "UV_INSECURE_HOST"):
        if variable in machine:
            found[variable] = machine[variable]
    return found


def certificates(machine: Mapping[str, str], pip: Mapping[str, str]) -> str:
    """The bundle of certificate authorities that this machine was told to use; empty: its own default."""
    return next((machine[name] for name in CERTIFICATES if machine.get(name)), pip.get("cert", ""))


def _copy(source: str, target: Path) -> None:
    if source and Path(source).is_file():
        shutil.copyfile(source, target)
    else:
        target.write_bytes(b"")
