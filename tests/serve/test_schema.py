"""The OpenAPI document: every operation called with what it allows and what it forbids, and no undocumented answer."""

from collections.abc import Callable

import hypothesis
import pytest
import schemathesis
from fastapi.testclient import TestClient
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]


@pytest.fixture
def client(make_client: Callable[..., TestClient]) -> TestClient:
    """One server for all operations."""
    return make_client(waiting_jobs=1)


def test_no_call_meets_an_undocumented_answer(client: TestClient) -> None:
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    called = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        called.add(f"{operation.method.upper()} {operation.path}")

        @hypothesis.seed(7)
        @hypothesis.settings(
            max_examples=4, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
        )
        @hypothesis.given(case=operation.as_strategy())
        def call(case: schemathesis.Case) -> None:
            answer = client.request(
                case.method, case.formatted_path, params=case.query, headers=case.headers, content=b""
            )
            case.validate_response(Response.from_any(answer), checks=CHECKS)

        call()
    assert {"POST /v1/predict", "POST /v1/jobs", "GET /v1/jobs/{name}/events", "GET /metrics"} <= called


def test_every_operation_documents_its_problems(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    responses = document["paths"]["/v1/predict"]["post"]["responses"]
    assert {"200", "400", "401", "408", "413", "415", "422", "429", "503"} <= set(responses)
    assert set(responses["413"]["content"]) == {"application/problem+json"}
    body = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]
    assert body["multipart/form-data"]["schema"]["required"] == ["image"]
    assert {"type", "title", "status", "detail", "advice"} == set(
        document["components"]["schemas"]["ProblemDetails"]["properties"]
    )
