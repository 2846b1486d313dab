"""Asks with OpenAI's SDK, unchanged: {"api": "chat" | "responses" | "model", "input"} gives {"output"}, or {"error", "message"} and the events before it.

What the router itself makes, it has to make as the SDK's own types say: the SDK reads answers without a check, so they are checked here.
"""
import openai
from openai.types import Model
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from session import serve

client = openai.OpenAI(max_retries=0)
EVENT = TypeAdapter(ResponseStreamEvent)


def told(value):
    return value.model_dump(mode="json")


def retrieved(model):
    try:
        return {"output": told(Model.model_validate(told(client.models.retrieve(model))))}
    except openai.APIError as e:
        return {"error": type(e).__name__, "message": e.message, "param": e.param}


def answer(asked):
    if asked["api"] == "model":
        return retrieved(**asked["input"])
    create = client.responses.create if asked["api"] == "responses" else client.chat.completions.create
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
