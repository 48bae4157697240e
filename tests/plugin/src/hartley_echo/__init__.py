"""A stranger's parts."""
