"""NIXL's thread that looks for transfers rests between two looks.

As vLLM starts it, it never rests: an engine takes a core of the processor for itself even when it has nothing to do, and on a machine of few cores two engines
leave nothing to those that test them.
"""
import os

REST_MICROSECONDS = 1000

# vLLM sets it before it imports NIXL, which comes too late here.
os.environ.setdefault("UCX_RCACHE_MAX_UNRELEASED", "1024")

import nixl._bindings  # noqa: E402


class RestingAgentConfig(nixl._bindings.nixlAgentConfig):
    """An agent's configuration, whoever sets its delay."""

    def __setattr__(self, name, value):
        super().__setattr__(name, REST_MICROSECONDS if name == "pthrDelay" else value)


nixl._bindings.nixlAgentConfig = RestingAgentConfig
