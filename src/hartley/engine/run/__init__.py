"""How it is played: worker processes, the meter, and one play."""
