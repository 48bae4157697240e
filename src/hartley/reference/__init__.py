"""Tables as data: taxonomies, framework ids, bibliography."""
