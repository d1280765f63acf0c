"""Service Quotas of EC2, which moto does not know: values per region that a test can change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fakes.aws.answers import amz, error
from tests.fakes.http import Answer

NAMES: Mapping[str, str] = {
    "L-1216C47A": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
    "L-417A185B": "Running On-Demand P instances",
    "L-DB2E81BA": "Running On-Demand G and VT instances",
    "L-34B43A08": "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
    "L-3819A6DF": "All G and VT Spot Instance Requests",
    "L-7212CCBC": "All P4, P3 and P2 Spot Instance Requests",
    "L-C4BD4855": "All P5 Spot Instance Requests",
}
DEFAULT = 64.0


def answer(action: str, region: str, parameters: Mapping[str, Any], values: Mapping[tuple[str, str], float]) -> Answer:
    """The answer of Service Quotas; `values` are by region and quota code, `""` for all regions."""
    if parameters.get("ServiceCode") != "ec2":
        return error("service-quotas", "NoSuchResourceException", "The fake knows the quotas of ec2.", 400)

    def quota(code: str) -> dict[str, Any]:
        value = values.get((region, code), values.get(("", code), DEFAULT))
        return {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:aws:servicequotas:{region}:123456789012:ec2/{code}",
            "QuotaCode": code,
            "QuotaName": NAMES[code],
            "Value": value,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }

    if action in ("GetServiceQuota", "GetAWSDefaultServiceQuota"):
        code = str(parameters.get("QuotaCode"))
        if code not in NAMES:
            return error("service-quotas", "NoSuchResourceException", "The request failed because the specified quota does not exist.", 400)
        return amz({"Quota": quota(code)})
    if action in ("ListServiceQuotas", "ListAWSDefaultServiceQuotas"):
        return amz({"Quotas": [quota(code) for code in NAMES]})
    return error("service-quotas", "UnknownOperationException", f"The fake has no {action}.", 400)
