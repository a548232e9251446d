"""Rules of accounts: sign-ins, devices, administration, and the erasure of an account."""
