"""Calls Bedrock's runtime API with boto3, unchanged: {"operation", "input"} gives {"output"}, or {"error", "message"} and the events before it.

Whom it asks is in the environment, or "url".

botocore's own validator checks the shape of every answer, and an error has to be one of the operation's.
"""
import functools
import json

import boto3
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator
from session import serve


@functools.cache
def client_at(url):
    return boto3.client("bedrock-runtime", endpoint_url=url)


def check(value, shape):
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        raise SystemExit(report.generate_report())
    return value


def read_events(stream, shape, events):
    for event in stream:
        check(event, shape)
        chunk = event.get("chunk")
        events.append(json.loads(chunk["bytes"]) if chunk else event)


def answer(asked):
    client = client_at(asked.get("url"))
    model = client.meta.service_model.operation_model(asked["operation"])
    members = model.output_shape.members
    events = []
    try:
        output = getattr(client, xform_name(asked["operation"]))(**asked["input"])
        assert output.pop("ResponseMetadata")["RequestId"]
        if "stream" in members:
            read_events(output["stream"], members["stream"], events)
            return {"output": events}
        if asked["operation"] == "InvokeModelWithResponseStream":
            read_events(output["body"], members["body"], events)
            return {"output": events}
        if asked["operation"] == "InvokeModel":
            return {"output": json.loads(output["body"].read())}
        return {"output": check(output, model.output_shape)}
    except ClientError as e:
        code = e.response["Error"]["Code"]
        known = [shape.name for shape in model.error_shapes] + list(members["stream" if "stream" in members else "body"].members if events else [])
        assert code in known, f"{code} is none of {known}"
        return {"error": code, "message": e.response["Error"]["Message"], "output": events}


serve(answer)
