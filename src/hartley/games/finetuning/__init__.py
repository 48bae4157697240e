"""The threat class finetuning: its game, live and dead scenes, and the channel of refusals."""
