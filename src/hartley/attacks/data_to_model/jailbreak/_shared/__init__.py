"""What only attacks of the class jailbreak use."""
