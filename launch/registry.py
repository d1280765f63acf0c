"""Which launcher belongs to which cloud, and which clouds are looked at when nobody names any. An SDK is imported only with its cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goldbake.config.load import load_config
from goldbake.config.model import Cloud
from goldbake.errors import ConfigError
from goldbake.paths import Paths
from goldbake.records import Records
from launch.base import ACCOUNT, REGIONS, CloudOptions, Launcher
from launch.journal import Journal
from launch.local import LocalLauncher, LocalOptions


@dataclass(frozen=True)
class Looked:
    """The launchers of the clouds that are looked at. Of those not in `named`, a failure to look is told and no more."""

    launchers: Mapping[Cloud, Launcher]
    named: frozenset[Cloud]


def journal_of(paths: Paths) -> Journal:
    """The journal of this user on this machine, which knows the locks of bakes as well."""
    return Journal(launches(paths), bakes=paths.state / "bakes")


def launches(paths: Paths) -> Path:
    """The folder of the journals."""
    return paths.state / "launches"


def launcher_for(cloud: Cloud, paths: Paths, options: CloudOptions | None = None, local: LocalOptions | None = None) -> Launcher:
    """The launcher of a cloud. Raises MissingError when there are no credentials for it."""
    return _MAKERS[cloud](paths, options or CloudOptions(), local or LocalOptions())


def launchers_for(paths: Paths, clouds: Sequence[Cloud] | None, given: Mapping[Cloud, Launcher] | None = None) -> Looked:
    """The launchers of these clouds; with None of this machine, of every cloud that has a journal here, and of those with credentials.

    `given` stands for all launchers that there are. Raises MissingError for a named cloud without credentials.
    """
    used = {entry.cloud for entry in journal_of(paths).all()}
    named = frozenset(clouds if clouds is not None else {Cloud.LOCAL} | used)
    if given is not None:
        wanted = {cloud: launcher for cloud, launcher in given.items() if clouds is None or cloud in clouds}
        return Looked(wanted, named)
    looked = list(clouds) if clouds is not None else [cloud for cloud in _MAKERS if cloud in named or _is_configured(cloud)]
    return Looked({cloud: launcher_for(cloud, paths) for cloud in looked}, named)


def _local(paths: Paths, options: CloudOptions, local: LocalOptions) -> Launcher:
    return LocalLauncher(paths, local)


def _aws(paths: Paths, options: CloudOptions, local: LocalOptions) -> Launcher:
    from launch.aws.launcher import AwsLauncher  # noqa: PLC0415

    return AwsLauncher(options, regions_of=_regions_of(paths))


def _gcp(paths: Paths, options: CloudOptions, local: LocalOptions) -> Launcher:
    from launch.gcp.launcher import GcpLauncher  # noqa: PLC0415

    return GcpLauncher(options, remembered=_remembered(paths), accounts=_accounts(paths, Cloud.GCP))


def _azure(paths: Paths, options: CloudOptions, local: LocalOptions) -> Launcher:
    from launch.azure.launcher import AzureLauncher  # noqa: PLC0415

    kept = next((record.artifact for record in Records(paths.records).all() if record.cloud is Cloud.AZURE), "")
    return AzureLauncher(options, remembered=_remembered(paths), accounts=_accounts(paths, Cloud.AZURE), image=kept)


def _regions_of(paths: Paths) -> Callable[[str], Sequence[str]]:
    """Launch → the regions that its journal names; none when there is no journal here."""

    remembered = _remembered(paths)

    def regions_of(launch_id: str) -> Sequence[str]:
        return [region for region in remembered(launch_id).get(REGIONS, "").split(",") if region]

    return regions_of


def _remembered(paths: Paths) -> Callable[[str], Mapping[str, str]]:
    """Launch → what its journal remembers for its cloud; nothing when there is no journal here."""

    def remembered(launch_id: str) -> Mapping[str, str]:
        entry = journal_of(paths).read(launch_id)
        return entry.options if entry else {}

    return remembered


def _accounts(paths: Paths, cloud: Cloud) -> Callable[[], Sequence[str]]:
    """The projects or subscriptions that journals here and images.yaml name: what is past its time is looked for in those as well."""

    def accounts() -> Sequence[str]:
        named = [entry.options.get(ACCOUNT, "") for entry in journal_of(paths).all() if entry.cloud is cloud]
        return list(dict.fromkeys(filter(None, [*named, *_baked_in(paths, cloud)])))

    return accounts


def _baked_in(paths: Paths, cloud: Cloud) -> list[str]:
    """Where images.yaml bakes; nowhere when it cannot be read: what exists is removed all the same."""
    try:
        images = load_config(paths.images_yaml, paths.scripts).images.values()
    except ConfigError:
        return []
    return [image.gcp.project if cloud is Cloud.GCP else image.azure.subscription for image in images if cloud in image.clouds]


def _is_configured(cloud: Cloud) -> bool:
    """Whether a cloud has credentials here, as far as can be told without asking it."""
    if cloud is Cloud.AWS:
        from goldbake.clouds.aws import session  # noqa: PLC0415

        return session.is_configured()
    if cloud is Cloud.GCP:
        from goldbake.clouds.gcp import session as google  # noqa: PLC0415

        return google.is_configured()
    if cloud is Cloud.AZURE:
        from goldbake.clouds.azure import session as azure  # noqa: PLC0415

        return azure.is_configured()
    return cloud is Cloud.LOCAL


_MAKERS: dict[Cloud, Callable[[Paths, CloudOptions, LocalOptions], Launcher]] = {
    Cloud.LOCAL: _local,
    Cloud.AWS: _aws,
    Cloud.GCP: _gcp,
    Cloud.AZURE: _azure,
}
