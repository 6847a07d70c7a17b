"""X.509 for devices: authorities that issue certificates, the files they live in, PFX, and what is inside a file."""
