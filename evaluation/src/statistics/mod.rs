//! Statistics for repeated measures, and the choice between tests.
