"""What several decryption attacks use."""
