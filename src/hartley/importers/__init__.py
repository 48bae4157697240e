"""Other tools' results: which tool wrote a file, and its outcomes as columns or as rates.

``formats/`` has one file for each tool, found by the file tree. ``source`` reads files within
bounds, ``read_results`` chooses the format.
"""
