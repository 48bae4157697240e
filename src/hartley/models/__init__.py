"""Adapters: functions that return a ``Model``."""
