"""Asks with OpenAI's SDK, unchanged: {"api": "chat" | "completions" | "responses" | "models" | "model", "input"} gives {"output"}, or
{"error", "message"} and the events before it. Whom it asks is in the environment, or "url".

What the router itself makes, it has to make as the SDK's own types say: the SDK reads answers without a check, so they are checked here.
"""
import functools

import openai
from openai.types import Model
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from session import serve

EVENT = TypeAdapter(ResponseStreamEvent)


def told(value):
    return value.model_dump(mode="json")


@functools.cache
def client_at(url):
    return openai.OpenAI(base_url=url, max_retries=0)


def retrieved(client, model=None):
    try:
        if model is None:
            return {"output": [told(Model.model_validate(told(one))) for one in client.models.list()]}
        return {"output": told(Model.model_validate(told(client.models.retrieve(model))))}
    except openai.APIError as e:
        return {"error": type(e).__name__, "message": e.message, "param": e.param}


def answer(asked):
    client = client_at(asked.get("url"))
    if asked["api"] in ["model", "models"]:
        return retrieved(client, **asked["input"])
    create = {"chat": client.chat.completions, "completions": client.completions, "responses": client.responses}[asked["api"]].create
    events = []
    try:
        output = create(**asked["input"])
        if asked["input"].get("stream"):
            for event in output:
                events.append(told(EVENT.validate_python(told(event)) if asked["api"] == "responses" else event))
            return {"output": events}
        return {"output": told(Response.model_validate(told(output)) if asked["api"] == "responses" else output)}
    except openai.APIError as e:
        return {"error": type(e).__name__, "message": e.message, "param": e.param, "output": events}


serve(answer)
