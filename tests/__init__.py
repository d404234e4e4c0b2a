"""Tests of the three packages; a package itself so that no test folder shadows them."""
