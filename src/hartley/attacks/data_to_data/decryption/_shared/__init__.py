"""Code that several decryption attacks share."""
