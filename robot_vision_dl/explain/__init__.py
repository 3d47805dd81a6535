"""Why a network said what it said, and what it is."""
