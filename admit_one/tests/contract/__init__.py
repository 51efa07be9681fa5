"""A small contract for the tests of the library, which so need no service of this repository."""
