"""The embedded AWS endpoint: moto in one child process on loopback, with state that survives its end."""
