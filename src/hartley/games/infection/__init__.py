"""The threat class infection: what one agent is made to do by others."""
