"""Asks with LiteLLM, unchanged: the arguments of completion() give {"text", "calls", "finish"}, or {"error", "message"}."""
import gc

import litellm
from session import serve

litellm.suppress_debug_info = True
# where an engine tells no usage it would fetch a tokenizer.
litellm.disable_token_counter = True
# LiteLLM leaves streams open whose answer it refuses. httpcore waits for itself for ever where these are collected while it holds its pool's lock,
# so that they are collected between two answers.
gc.disable()


def answer(asked):
    gc.collect()
    try:
        output = litellm.completion(num_retries=0, **asked)
        if asked.get("stream"):
            output = litellm.stream_chunk_builder(list(output))
    except Exception as e:
        return {"error": type(e).__name__, "message": str(e)}
    choice = output.choices[0]
    return {
        "text": choice.message.content,
        "calls": [[call.function.name, call.function.arguments] for call in choice.message.tool_calls or []],
        "finish": choice.finish_reason,
    }


serve(answer)
