"""The catalogue, complete: importing a module of cases registers them."""

import chain_cases
import usage_cases
from catalogue import CASES, Case, Chain, Clique

__all__ = ["CASES", "Case", "Chain", "Clique", "chain_cases", "usage_cases"]
