"""Pages over the runs of a store, for a browser on this machine: ``hartley serve``.

The pages are drawn on the server from what the store holds, read anew for every request as far as
its files changed. Nothing here writes into a run, and every request is GET or HEAD.
"""
