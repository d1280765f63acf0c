"""The calls about instances that moto answers otherwise than EC2 does."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.models.instances import StateReason
from moto.ec2.responses import EC2Response

from tests.fakes.aws import start
from tests.fakes.aws.answers import Refused
from tests.fakes.aws.book import BOOK, Event

CONSOLE_BYTES = 64 * 1024


class Instances(EC2Response):
    """Starting, listing and ending instances."""

    def run_instances(self) -> Any:
        asked = dict(self.params)
        known = start.asked_before(self.region, "RunInstances", asked)
        if known is not None:
            return ActionResult(known)
        least, most = int(asked.get("MinCount", 1)), int(asked.get("MaxCount", 1))
        reservation = self._start(start.with_template(self.ec2_backend, asked), least, most)
        start.remember(self.region, "RunInstances", asked, reservation)
        return ActionResult(reservation)

    def terminate_instances(self) -> Any:
        wanted = self._get_param("InstanceIds", [])
        if not wanted:
            raise Refused("MissingParameter", "The request must contain the parameter InstanceId")
        found = self.ec2_backend.get_multi_instances_by_id(wanted)
        before = {one.id: {"Code": one.state_code, "Name": one.state} for one in found}
        for instance in found:
            if instance.state == "terminated" or instance.id in BOOK.leaving:
                continue
            if BOOK.linger:
                instance._state.name, instance._state.code = "shutting-down", 32
                BOOK.leaving[instance.id] = (self.region, BOOK.linger)
            else:
                self._end(instance)
            BOOK.tell(Event("terminated", self.region, instance.id))
        states = [{"InstanceId": one.id, "CurrentState": _closing(one), "PreviousState": before[one.id]} for one in found]
        return ActionResult({"TerminatingInstances": states})

    def stop_instances(self) -> Any:
        answer = super().stop_instances()
        for one in self._get_param("InstanceIds", []):
            BOOK.tell(Event("stopped", self.region, one))
        return answer

    def start_instances(self) -> Any:
        answer = super().start_instances()
        for one in self._get_param("InstanceIds", []):
            BOOK.tell(Event("started", self.region, one))
        return answer

    def reboot_instances(self) -> Any:
        answer = super().reboot_instances()
        for one in self._get_param("InstanceIds", []):
            BOOK.tell(Event("rebooted", self.region, one))
        return answer

    def describe_instances(self) -> Any:
        self._pass_time()
        answer: Any = super().describe_instances()
        hidden = {one for one, left in BOOK.unseen.items() if left > 0}
        if hidden & set(self._get_param("InstanceIds", [])):
            self._see()
            missing = ", ".join(sorted(hidden & set(self._get_param("InstanceIds", []))))
            raise Refused("InvalidInstanceID.NotFound", f"The instance ID '{missing}' does not exist")
        reservations = []
        for reservation in answer.result["Reservations"]:
            reservation.instances = [one for one in reservation.instances if one.id not in hidden]
            reservations += [reservation] if reservation.instances else []
        self._see()
        return ActionResult({"Reservations": reservations})

    def modify_instance_metadata_options(self) -> Any:
        """moto sets back what the call leaves out."""
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        options = instance.metadata_options
        options.http_tokens = self._get_param("HttpTokens") or options.http_tokens
        options.http_put_response_hop_limit = self._get_int_param("HttpPutResponseHopLimit") or options.http_put_response_hop_limit
        options.http_endpoint = self._get_param("HttpEndpoint") or options.http_endpoint
        options.instance_metadata_tags = self._get_param("InstanceMetadataTags") or options.instance_metadata_tags
        BOOK.tell(Event("metadata", self.region, instance.id))
        return ActionResult({"InstanceId": instance.id, "InstanceMetadataOptions": options})

    def get_console_output(self) -> Any:
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        text = BOOK.consoles.get(instance.id)
        text = BOOK.console_of(instance.id) if text is None else text
        result: dict[str, Any] = {"InstanceId": instance.id, "Timestamp": utcnow()}
        if text:
            result["Output"] = Base64EncodedString.from_raw_string(text[-CONSOLE_BYTES:])
        return ActionResult(result)

    def cancel_spot_instance_requests(self) -> Any:
        """moto forgets them; EC2 shows them as cancelled for a while."""
        cancelled = []
        for one in self._get_param("SpotInstanceRequestIds", []):
            if one not in self.ec2_backend.spot_instance_requests:
                raise Refused("InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{one}' does not exist")
            self.ec2_backend.spot_instance_requests[one].state = "cancelled"
            cancelled.append({"SpotInstanceRequestId": one, "State": "cancelled"})
        return ActionResult({"CancelledSpotInstanceRequests": cancelled})

    def describe_instance_type_offerings(self) -> Any:
        answer: Any = super().describe_instance_type_offerings()
        offered = [one for one in answer.result["InstanceTypeOfferings"] if (one["Location"], one["InstanceType"]) not in BOOK.withheld]
        return ActionResult({"InstanceTypeOfferings": offered})

    def _start(self, parameters: dict[str, Any], least: int, most: int) -> Any:
        """The reservation of up to `most` new instances. Raises Refused."""
        backend = self.ec2_backend
        zone, kind, spot = start.zone_of(backend, parameters), parameters.get("InstanceType", "m1.small"), start.is_spot(parameters)
        start.refuse_nonsense(backend, parameters, zone)
        count = start.room(zone, kind, spot, least, most)
        self.params = start.filled_in(backend, parameters, count)
        tags = self._parse_tag_specification()
        made: Any = super().run_instances()
        for instance in made.result.instances:
            start.finish(backend, instance, parameters, tags)
            doom = next((one for one in BOOK.dooms if one.fits(self.region, zone, kind)), None)
            if doom is not None:
                BOOK.dooms.remove(doom)
                self._end(instance, doom.code, doom.message or doom.code)
            else:
                BOOK.tell(Event("started", self.region, instance.id))
        return made.result

    def _end(self, instance: Any, code: str = "Client.UserInitiatedShutdown", message: str = "") -> None:
        end(self.ec2_backend, instance, code, message)

    def _pass_time(self) -> None:
        for name, (region, left) in list(BOOK.leaving.items()):
            if region != self.region:
                continue
            if left > 1:
                BOOK.leaving[name] = (region, left - 1)
                continue
            del BOOK.leaving[name]
            self._end(self.ec2_backend.get_instance(name))

    def _see(self) -> None:
        for name, left in list(BOOK.unseen.items()):
            BOOK.unseen[name] = left - 1
            if left <= 1:
                del BOOK.unseen[name]


def end(backend: Any, instance: Any, code: str, message: str = "") -> None:
    """Terminate it; its spot request ends with it."""
    if instance.state != "terminated":
        instance.terminate()
    instance.state_reason = StateReason(message or f"{code}: User initiated shutdown", code)
    for request in backend.spot_instance_requests.values():
        if request.instance is instance and request.state == "active":
            request.state, request._status_code = "closed", "instance-terminated-by-user"


def _closing(instance: Any) -> dict[str, Any]:
    if instance.state == "terminated":
        return {"Code": 48, "Name": "terminated"} if not BOOK.linger else {"Code": 32, "Name": "shutting-down"}
    return {"Code": 32, "Name": "shutting-down"}
