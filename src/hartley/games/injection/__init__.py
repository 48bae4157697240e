"""The threat class injection: what third parties make an agent do with its tools."""
