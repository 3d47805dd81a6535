"""Over time and under costs: fusion, e-values, decision, action gate."""
