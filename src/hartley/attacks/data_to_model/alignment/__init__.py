"""Attacks on the alignment of pictures and captions, one file each."""
