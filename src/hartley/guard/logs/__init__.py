"""Logs of other programs, read as calls of a model."""

from hartley.guard.logs.litellm import litellm_calls
from hartley.guard.logs.logged_calls import BadLine, LoggedCall, OtherLine
from hartley.guard.logs.otel import otel_calls

__all__ = ["BadLine", "LoggedCall", "OtherLine", "litellm_calls", "otel_calls"]
