//! What was measured, as JSON, CSV and one self-contained HTML page.
