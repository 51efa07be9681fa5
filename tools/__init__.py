"""Tools that run, test and measure the whole system on one machine."""
