"""The story that `make demo` tells and that the tests hold: real data, real models, real clusters."""
