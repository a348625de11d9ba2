"""Metrics of clients, made by hooks; one module for each library that exposes them."""
