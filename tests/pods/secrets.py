"""Files of a Secret as the kubelet mounts and changes them, and the certificates of a cluster called orders."""

import itertools
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from keystead_operator.kube.authority import TRUST_SECONDS, CertificateFiles, Files, renewed

CLUSTER, NAMESPACE = "orders", "shop"
PEER_NAME = f"node.{CLUSTER}.{NAMESPACE}.keystead"
NOTHING = CertificateFiles({}, {}, {})
_numbers = itertools.count()


def mount(directory: Path, files: Files) -> None:
    """All files change at once: each is a link through `..data`, which is replaced as a whole."""
    content = directory / f"..{next(_numbers)}"
    content.mkdir(parents=True)
    for name, data in files.items():
        (content / name).write_bytes(data)
    link = directory / "..data_tmp"
    link.symlink_to(content.name)
    old = (directory / "..data").resolve() if (directory / "..data").exists() else None
    link.replace(directory / "..data")
    for name in files:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(Path("..data") / name)
    for path in list(directory.iterdir()):
        if not path.name.startswith("..") and path.name not in files:
            path.unlink()
    if old is not None:
        shutil.rmtree(old)


def certificates(held: CertificateFiles = NOTHING, later: timedelta = timedelta(0)) -> CertificateFiles:
    """Those of the cluster as the operator makes them now, or `later`."""
    return renewed(held, CLUSTER, NAMESPACE, datetime.now(UTC) + later)


def with_new_authority(held: CertificateFiles) -> CertificateFiles:
    """The next step of a rotation: another authority, trusted beside the first."""
    return certificates(CertificateFiles({}, held.node, held.operator))


def issued_by_it(held: CertificateFiles) -> CertificateFiles:
    """The step after that: certificates of the new authority."""
    made = certificates(held, timedelta(seconds=TRUST_SECONDS + 1))
    assert made.node != held.node, "the certificates are still the old ones"
    return made


def expired() -> CertificateFiles:
    """Certificates of a quarter that is over, with an authority that is not."""
    return certificates(later=timedelta(days=-100))
