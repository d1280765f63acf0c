"""EC2: moto's answers with ours over them, and listings in pages."""

from __future__ import annotations

import base64
from typing import Any

from botocore.session import Session
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import get_service_model

from tests.fakes.aws.answers import Refused
from tests.fakes.aws.book import BOOK, REGIONS
from tests.fakes.aws.images import Images

_LIMITS = {"DescribeInstanceTypes": 100, "DescribeLaunchTemplates": 200, "DescribeLaunchTemplateVersions": 200}
_EVERYTHING = 10**6


def _pages() -> dict[str, str]:
    """Action → the list that it answers in pages, as botocore knows them, with those that EC2 pages and it does not."""
    model = Session().get_service_model("ec2")
    found = {}
    for action in model.operation_names:
        operation = model.operation_model(action)
        if operation.input_shape is None or operation.output_shape is None or "NextToken" not in operation.output_shape.members:
            continue
        lists = [name for name, shape in operation.output_shape.members.items() if shape.type_name == "list"]
        if "MaxResults" in operation.input_shape.members and len(lists) == 1:
            found[action] = lists[0]
    return found


PAGES = _pages()


class FakeEc2(Images):
    """What answers EC2."""

    def call_action(self) -> Any:
        action = self._get_action()
        self._page = (self._get_param("MaxResults"), self._get_param("NextToken"))
        if action in PAGES:
            self.params["MaxResults"] = _EVERYTHING
            self.params.pop("NextToken", None)
        return super().call_action()

    def serialized(self, action_result: Any) -> Any:
        key = PAGES.get(self._get_action())
        result = action_result.result
        if key is not None and isinstance(result, dict) and key in result:
            action_result = ActionResult({**result, **self._cut(self._get_action(), key, list(result[key]))})
        return super().serialized(action_result)

    def describe_regions(self) -> Any:
        """moto has every region enabled; an account has those that need no opt-in."""
        answer: Any = super().describe_regions()
        found = [one for one in answer.result["Regions"] if one.name in REGIONS]
        wanted = self._filters_from_querystring().get("opt-in-status")
        return ActionResult({"Regions": found if wanted is None or "opt-in-not-required" in wanted else []})

    def delete_security_group(self) -> Any:
        wanted = self._get_param("GroupId")
        group = self.ec2_backend.get_security_group_from_id(wanted) if wanted else None
        if wanted and group is None:
            raise Refused("InvalidGroup.NotFound", f"The security group '{wanted}' does not exist")
        if group is not None and any(group in nic.group_set for nic in self.ec2_backend.enis.values()):
            raise Refused("DependencyViolation", f"resource {wanted} has a dependent object")
        return super().delete_security_group()

    def delete_network_interface(self) -> Any:
        nic = self.ec2_backend.enis.get(self._get_param("NetworkInterfaceId"))
        if nic is not None and nic.attachment_id and nic.instance is not None and nic.instance.state != "terminated":
            raise Refused("InvalidNetworkInterface.InUse", f"Network interface '{nic.id}' is currently in use.")
        return super().delete_network_interface()

    def delete_key_pair(self) -> Any:
        """EC2 takes the pair's id too, and is content with a pair that is not there."""
        wanted = self._get_param("KeyPairId")
        if wanted:
            self.params["KeyName"] = next((one.key_name for one in self.ec2_backend.key_pairs.values() if one.id == wanted), "")
        self.ec2_backend.delete_key_pair(self._get_param("KeyName"))
        return EmptyResult()

    def _cut(self, action: str, key: str, items: list[Any]) -> dict[str, Any]:
        wanted, token = self._page
        limit = _LIMITS.get(action, 1000)
        if wanted is not None and not 1 <= int(wanted) <= limit:
            raise Refused(
                "InvalidParameterValue", f"Value ( {wanted} ) for parameter maxResults is invalid. Expecting a value up to {limit}."
            )
        size = min(int(wanted or BOOK.page), BOOK.page)
        try:
            begin = int(base64.b64decode(token, validate=True)) if token else 0
        except ValueError:
            raise Refused("InvalidParameterValue", "The token is not one of ours.") from None
        last = begin + size >= len(items)
        return {key: items[begin : begin + size], "NextToken": None if last else base64.b64encode(str(begin + size).encode()).decode()}


def parameters_of(action: str, form: dict[str, str]) -> dict[str, Any]:
    """A request's parameters by the names of the service's own description. Raises KeyError for an action that EC2 does not have."""

    model = get_service_model("ec2").operation_model(action)
    parser: Any = PROTOCOL_PARSERS["ec2"](model, map_type=dict)
    parsed: dict[str, Any] = parser.parse({"method": "POST", "values": form, "headers": {}, "body": b"", "url_path": "/", "url_params": {}})
    return parsed
