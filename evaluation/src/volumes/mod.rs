//! Volumes of the brain's tissues from label maps, and their differences between real and synthetic images.

pub mod difference;
pub mod labels;
pub mod table;
