//! One real image and one synthetic one, with what masks and label maps there are: everything measured.
