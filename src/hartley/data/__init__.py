"""Where records come from: one file a modality, and packs."""
