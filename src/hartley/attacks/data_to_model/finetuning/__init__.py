"""Attacks of the class finetuning."""
