"""What only attacks of the class finetuning use."""
