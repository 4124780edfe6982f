//! NIfTI files to volumes and back: limits on the way in, whole files or none on the way out.
