"""Measures the speed and memory of Admit One beside two baselines."""
