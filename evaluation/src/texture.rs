//! Texture of lesions by grey-level co-occurrence matrices.
