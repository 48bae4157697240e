"""Memory: what attackers read out of a store of texts, and what they write into it."""
