"""Vector stores that several tenants share: embedded, in PostgreSQL, and exact in memory."""
