"""Reading a secret by its beginning, in a text that has not ended."""

from hartley.guard.judge.window_judge import Finding, WindowJudge

__all__ = ["Finding", "WindowJudge"]
