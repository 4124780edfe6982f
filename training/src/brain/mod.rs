//! Trains the network that finds the brain in a raw scan of a head: simulated heads, network, training, export.

pub mod anatomy;
pub mod command;
pub mod contrast;
pub mod decoy;
pub mod export;
pub mod head;
pub mod network;
pub mod pool;
pub mod recipe;
pub mod train;
