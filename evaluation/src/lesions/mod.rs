//! Two lesion masks compared: overlap, surface distances, lesions found and missed, counts and sizes.
