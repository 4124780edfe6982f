//! What people look at: sheets of sample images, curves of a run, and tables that compare models.

pub mod baseline;
pub mod compare;
pub mod curves;
pub mod intervals;
pub mod plot;
pub mod sheet;
pub mod table;
