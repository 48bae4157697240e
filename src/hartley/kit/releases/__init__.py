"""Ways to publish a table: pseudonyms, k-anonymity, synthetic tables, with and without DP."""
