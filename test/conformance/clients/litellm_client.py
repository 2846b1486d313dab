"""Asks with LiteLLM, unchanged: the arguments of completion() give {"text", "calls", "finish", "usage"}, or {"error", "message"}.

Those of another function, which "call" names, give {"output"}: what it returns, or the events of its stream.
"""
import gc

import litellm
from session import serve

litellm.suppress_debug_info = True
# where an engine tells no usage it would fetch a tokenizer.
litellm.disable_token_counter = True
# LiteLLM leaves streams open whose answer it refuses. httpcore waits for itself for ever where these are collected while it holds its pool's lock,
# so that they are collected between two answers.
gc.disable()
# what is loaded is there to stay, and no part of that.
gc.freeze()


def told(value):
    return value.model_dump(mode="json")


def answer(asked):
    gc.collect()
    call = asked.pop("call", "completion")
    try:
        output = getattr(litellm, call)(num_retries=0, **asked)
        if asked.get("stream"):
            output = list(output)
        if call != "completion":
            return {"output": [told(event) for event in output] if asked.get("stream") else told(output)}
        if asked.get("stream"):
            output = litellm.stream_chunk_builder(output)
    except Exception as e:
        return {"error": type(e).__name__, "message": str(e)}
    choice = output.choices[0]
    return {
        "text": choice.message.content,
        "calls": [[call.function.name, call.function.arguments] for call in choice.message.tool_calls or []],
        "finish": choice.finish_reason,
        "usage": [output.usage.prompt_tokens, output.usage.completion_tokens],
    }


serve(answer)
