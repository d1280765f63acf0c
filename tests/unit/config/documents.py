"""A small images.yaml that is right; tests break one thing in it."""

from pathlib import Path

GOOD = """\
images:
  base:
    description: a test
    os: debian-12
    clouds: [aws, local]
    gpus: [t4, a100]
    driver: {source: nvidia, version: 580.159.04, module: open}
    docker: {source: docker, version: 28.2.2}
    toolkit: {source: module, version: 1.19.1}
    agent: {version: 4.275.0}
    disk_gib: 16
    secure_boot: false
    layers:
      - name: system
        scripts: [one, two]
      - name: finish
        scripts: [three]
"""

SCRIPTS = ("one", "two", "three", "install-driver")


def write(folder: Path, text: str | bytes) -> tuple[Path, Path]:
    """An images.yaml with `text`, and a folder of scripts."""
    scripts = folder / "image-scripts"
    scripts.mkdir(exist_ok=True)
    for name in SCRIPTS:
        (scripts / f"{name}.sh").touch()
    path = folder / "images.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    return path, scripts
