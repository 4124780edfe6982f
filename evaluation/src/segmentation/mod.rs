//! Built-in reference segmentations: three tissue classes, and white-matter lesions.
