"""Mutated input for everything that reads what others wrote: messages, bundles, bags, text files. See ``make fuzz``."""
