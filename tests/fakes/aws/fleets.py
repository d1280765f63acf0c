"""CreateFleet of type `instant`: override by override, with an error for each that cannot start, as EC2 does and moto does not."""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.utils import random_fleet_id

from tests.fakes.aws import start
from tests.fakes.aws.answers import Refused
from tests.fakes.aws.book import BOOK
from tests.fakes.aws.calls import START
from tests.fakes.aws.instances import Instances

_PLACED = ("InstanceType", "SubnetId", "ImageId")


class Fleets(Instances):
    """Fleets that start at once and are never topped up."""

    def create_fleet(self) -> Any:
        asked = dict(self.params)
        if asked.get("Type") != "instant":
            return super().create_fleet()
        known = start.asked_before(self.region, "CreateFleet", asked)
        if known is not None:
            return ActionResult(known)
        answer = self._instant(asked)
        start.remember(self.region, "CreateFleet", asked, answer)
        return ActionResult(answer)

    def _instant(self, asked: dict[str, Any]) -> dict[str, Any]:
        target = asked.get("TargetCapacitySpecification") or {}
        left = wanted = int(target["TotalTargetCapacity"])
        spot = target.get("DefaultTargetCapacityType", "on-demand") == "spot"
        options = asked.get("SpotOptions" if spot else "OnDemandOptions") or {}
        overrides = [
            (config["LaunchTemplateSpecification"], one)
            for config in asked["LaunchTemplateConfigs"]
            for one in config.get("Overrides") or [{}]
        ]
        overrides.sort(key=lambda pair: float(pair[1].get("Priority", 0)))
        errors: list[dict[str, Any]] = []
        started: list[dict[str, Any]] = []
        for template, override in overrides:
            if left == 0:
                break
            parameters = self._merged(template, override, asked, spot)
            about: dict[str, Any] = {"LaunchTemplateAndOverrides": {"LaunchTemplateSpecification": template, "Overrides": override}}
            about["Lifecycle"] = "spot" if spot else "on-demand"
            try:
                self._refuse_if_told(parameters, spot)
                reservation = self._start(parameters, 1, left)
            except (Refused, ServiceException) as error:
                errors.append({**about, "ErrorCode": error.code, "ErrorMessage": error.message})
                continue
            ids = [instance.id for instance in reservation.instances]
            started.append({**about, "InstanceIds": ids, "InstanceType": parameters["InstanceType"]})
            left -= len(ids)
        if wanted - left < int(options.get("MinTargetCapacity", 0)):
            for one in started:
                for name in one["InstanceIds"]:
                    self._end(self.ec2_backend.get_instance(name))
            started = []
        return {"FleetId": random_fleet_id(), "Errors": errors, "Instances": started}

    def _merged(self, template: dict[str, Any], override: dict[str, Any], asked: dict[str, Any], spot: bool) -> dict[str, Any]:
        parameters = start.with_template(self.ec2_backend, {"LaunchTemplate": template})
        parameters |= {key: override[key] for key in _PLACED if override.get(key)}
        if override.get("AvailabilityZone"):
            parameters["Placement"] = {"AvailabilityZone": override["AvailabilityZone"]}
        if parameters.get("SubnetId") and parameters.get("NetworkInterfaces"):
            nics = [{**nic, "SubnetId": parameters["SubnetId"]} for nic in parameters["NetworkInterfaces"]]
            parameters = {**{key: value for key, value in parameters.items() if key != "SubnetId"}, "NetworkInterfaces": nics}
        if spot:
            parameters["InstanceMarketOptions"] = {"MarketType": "spot"}
        else:
            parameters.pop("InstanceMarketOptions", None)
        own = [one for one in asked.get("TagSpecifications", []) if one["ResourceType"] != "fleet"]
        return {**parameters, "TagSpecifications": parameters["TagSpecifications"] + own}

    def _refuse_if_told(self, parameters: dict[str, Any], spot: bool) -> None:
        zone = start.zone_of(self.ec2_backend, parameters)
        fault = BOOK.faults.find((START,), "ec2", self.region, zone, parameters.get("InstanceType", ""), spot)
        if fault is not None:
            raise Refused(fault.code, fault.text)
