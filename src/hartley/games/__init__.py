"""One file a threat class: deal the secret, judge it, ship the two wires."""
