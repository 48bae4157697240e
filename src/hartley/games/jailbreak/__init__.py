"""Games of the class jailbreak: the attacker's input decides what a trained model answers."""
