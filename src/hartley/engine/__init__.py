"""Play games: meter, match, plan, execute, defend, gate, assess."""
