"""A policy directory as the kubelet mounts a ConfigMap: links, exchanged as a whole."""

from pathlib import Path


class ConfigMap:
    """Writes versions of one policy file below a directory (Kubernetes, `pkg/volume/util/atomic_writer.go`)."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, text: str, name: str = "policy.yaml") -> None:
        """Exchange the mounted content for a file with this text; the old version goes, as with the kubelet."""
        old = (self.root / "..data").resolve() if (self.root / "..data").is_symlink() else None
        number = int(old.name.rpartition("_")[2]) + 1 if old else 1
        data = self.root / f"..version_{number}"
        data.mkdir()
        (data / name).write_text(text, encoding="utf-8")
        if not (self.root / name).is_symlink():
            (self.root / name).symlink_to(f"..data/{name}")
        fresh = self.root / "..data_tmp"
        fresh.symlink_to(data.name)
        fresh.rename(self.root / "..data")
        if old:
            (old / name).unlink()
            old.rmdir()
