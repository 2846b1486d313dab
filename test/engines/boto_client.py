"""Asks Bedrock's runtime API with boto3, unchanged: boto_client.py OPERATION MODEL TOKENS < PROMPT; prints {"text"}."""
import json
import sys

import boto3
from botocore.validate import ParamValidator

operation, model, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3])
prompt = sys.stdin.read()
client = boto3.client("bedrock-runtime")

if operation.startswith("converse"):
    answer = getattr(client, operation)(
        modelId=model,
        messages=[{"role": "user", "content": [{"text": prompt}]}],
        inferenceConfig={"maxTokens": tokens, "temperature": 0.0},
        additionalModelRequestFields={"ignore_eos": True},
    )
else:
    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
    answer = getattr(client, operation)(modelId=model, body=json.dumps(body))


def check(value, shape):
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        raise SystemExit(report.generate_report())


shape = client.meta.service_model.operation_model("".join(word.capitalize() for word in operation.split("_"))).output_shape
if operation == "converse":
    metadata = answer.pop("ResponseMetadata")
    assert metadata["RequestId"], metadata
    check(answer, shape)
    text = "".join(block.get("text", "") for block in answer["output"]["message"]["content"])
elif operation == "converse_stream":
    events = list(answer["stream"])
    for event in events:
        check(event, shape.members["stream"])
    assert "messageStop" in events[-2] and "metadata" in events[-1], events[-2:]
    text = "".join(event.get("contentBlockDelta", {}).get("delta", {}).get("text", "") for event in events)
elif operation == "invoke_model":
    text = json.loads(answer["body"].read())["choices"][0]["message"]["content"]
else:
    chunks = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk.get("choices"))
print(json.dumps({"text": text}))
