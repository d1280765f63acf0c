"""What the service says when it refuses: the error document of the REST API, keyed by `typeKey`.

Sources: the client maps `typeKey`, not the status (facts on the agent's protocol, 3.1). Where the status of a type was not seen on the real
service, the one here is the assumption that the public fakes make: 409 for what exists already, 404 for what is not there.
"""

from __future__ import annotations

STATUS = {
    "AccessDeniedException": 403,
    "TaskAgentExistsException": 409,
    "TaskAgentNotFoundException": 404,
    "TaskAgentPoolExistsException": 409,
    "TaskAgentPoolNotFoundException": 404,
    "TaskAgentQueueExistsException": 409,
    "TaskAgentQueueNotFoundException": 404,
    "TaskAgentJobStillRunningException": 400,
    "TaskAgentJobNotFoundException": 404,
    "TaskAgentJobTokenExpiredException": 400,
    "TaskAgentSessionConflictException": 409,
    "TaskAgentSessionExpiredException": 404,
    "TaskAgentMessageNotFoundException": 404,
    "ProjectDoesNotExistWithNameException": 404,
    "VssPropertyValidationException": 400,
    "VssVersionNotSpecifiedException": 400,
    "VssResourceNotFoundException": 404,
    "VssRequestTooLargeException": 413,
    "VssMethodNotAllowedException": 405,
    "UnauthorizedRequestException": 401,
    "RequestBlockedException": 429,
    "VssServiceException": 500,
}
"""HTTP status of each type of error that the service raises."""

_TASK_TYPES = "Microsoft.TeamFoundation.DistributedTask.WebApi"
_COMMON_TYPES = "Microsoft.VisualStudio.Services.WebApi"


class ServiceError(Exception):
    """A refusal: `type_key` is what a client decides by, `message` what a person reads."""

    def __init__(self, type_key: str, message: str) -> None:
        super().__init__(message)
        self.type_key = type_key
        self.message = message
        self.status = STATUS[type_key]


def document(type_key: str, message: str) -> dict[str, object]:
    """The body of a refusal."""
    space = _TASK_TYPES if type_key.startswith("TaskAgent") else _COMMON_TYPES
    return {
        "$id": "1",
        "innerException": None,
        "message": message,
        "typeName": f"{space}.{type_key}, {space}",
        "typeKey": type_key,
        "errorCode": 0,
        "eventId": 3000,
    }
