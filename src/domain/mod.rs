//! What events mean: order figures, attribution, ratios, verdicts. Pure functions on values.
