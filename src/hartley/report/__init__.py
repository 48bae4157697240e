"""One run document, several formats: a page, its data, a table, and what CI tools read."""

from hartley.report.render import FORMATS, render

__all__ = ["FORMATS", "render"]
