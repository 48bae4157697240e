"""Other people's models as a ``Model``: one file an adapter."""
