//! The crate's own kernels as operators of tract's graph, and their way into it when a model is loaded.
//!
//! [`register`] makes tract keep ONNX operators that it would otherwise take apart; [`lower`](lower::lower) then replaces what the
//! kernels can do. What they cannot do stays as tract has it.

mod blocks;
mod keep;
mod lower;
#[cfg(test)]
mod tests;

pub(super) use keep::register;
pub(super) use lower::{Lowered, Packed, lower};

use tract_onnx::prelude::TypedModel;

/// Bytes that each thread which runs the graph keeps for the kernels' work.
pub(super) fn scratch_bytes(graph: &TypedModel) -> u64 {
    let convolutions = graph.nodes().iter().filter_map(|node| node.op_as::<blocks::Convolve>());
    convolutions.map(|node| node.convolution.scratch_bytes() as u64).max().unwrap_or(0)
}
