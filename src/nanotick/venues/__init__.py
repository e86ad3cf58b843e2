"""Venues: one package each, with a client and a server that speaks the venue's own protocol."""
