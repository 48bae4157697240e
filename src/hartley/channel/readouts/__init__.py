"""From one answer form to bits: scores, symbols, ranks and jams."""
