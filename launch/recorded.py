"""Which artifact a launch starts from."""

from __future__ import annotations

from pathlib import Path

from goldbake.config.load import load_config
from goldbake.config.model import Cloud, Image
from goldbake.errors import GoldbakeError, NoImageError
from goldbake.paths import Paths
from goldbake.records import ImageRecord, Records
from launch.request import LaunchRequest


def find_image(paths: Paths, request: LaunchRequest) -> ImageRecord:
    """The newest usable artifact of the image, or exactly the one asked for. Raises NoImageError when there is none."""
    store = Records(paths.records)
    of_cloud = [record for record in store.all() if record.cloud == request.cloud]
    if request.artifact:
        wanted = str(Path(request.artifact).absolute()) if request.cloud is Cloud.LOCAL else request.artifact
        exact = next((record for record in of_cloud if {wanted, request.artifact} & {record.artifact, *record.copies.values()}), None)
        if exact is None or not store.usable(exact):
            known = ", ".join(record.artifact for record in of_cloud[:3])
            raise NoImageError(
                f"{request.artifact} is not recorded as an artifact for {request.cloud}, or was changed",
                hint=f"recorded: {known}" if known else f"none is recorded; bake one: ./inv bake --cloud {request.cloud}",
            )
        return exact
    named = [record for record in of_cloud if request.image is None or record.image == request.image]
    found = next((record for record in named if store.usable(record)), None)
    if found is None:
        what = f"image {request.image}" if request.image else "image"
        flag = f" --image {request.image}" if request.image else ""
        raise NoImageError(f"there is no baked {what} for {request.cloud}", hint=f"bake it: ./inv bake --cloud {request.cloud}{flag}")
    return found


def require_checked(record: ImageRecord, request: LaunchRequest) -> None:
    """Raise NoImageError for an image that nobody has looked at, unless it was asked for as it is."""
    if record.checks is None and not request.unchecked:
        raise NoImageError(
            f"{record.artifact} was baked without checks",
            hint=f"`./inv check --cloud {record.cloud} --image {record.image}`, or launch it as it is with --unchecked",
        )


def described(paths: Paths, record: ImageRecord) -> Image | None:
    """What images.yaml says of the image now; None when it does not name it any more, or cannot be read: the artifact is what counts."""
    try:
        return load_config(paths.images_yaml, paths.scripts).images.get(record.image)
    except GoldbakeError:
        return None


def artifacts(record: ImageRecord, request: LaunchRequest) -> dict[str, str]:
    """Region → artifact, home first; only the one that was asked for by its id. Empty on this machine."""
    if record.cloud is Cloud.LOCAL:
        return {}
    named = {region: artifact for region, artifact in record.artifacts.items() if artifact == request.artifact}
    return named or record.artifacts
