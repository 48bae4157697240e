"""Steps that inversion attacks share: priors, decoders, banks, gradients of a client."""
