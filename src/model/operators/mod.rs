//! The crate's own kernels as operators of tract's graph, and their way into it when a model is loaded.
//!
//! [`refuse_misfits`] makes tract refuse images that do not fit together. [`register`] makes it keep ONNX operators that it would
//! otherwise take apart; [`lower`](lower::lower) then replaces what the
//! kernels can do. What they cannot do stays as tract has it.

mod blocks;
mod fitting;
mod keep;
mod lower;
#[cfg(test)]
mod tests;

pub(super) use fitting::refuse_misfits;
pub(super) use keep::register;
pub(super) use lower::{Lowered, Packed, lower};

use tract_onnx::prelude::{TractResult, TypedModel};

/// Bytes that each thread which runs the graph on so many slices at once needs for the kernels' work, at most.
pub(super) fn scratch_bytes(graph: &TypedModel, slices: usize) -> TractResult<u64> {
    // The buffers of each kind of convolution grow to what the largest needs.
    let mut most = [0; 2];
    for node in graph.nodes() {
        let Some(convolution) = node.op_as::<blocks::Convolve>() else { continue };
        let bytes = convolution.scratch_bytes(graph.outlet_fact(node.inputs[0])?, slices)?;
        most = [0, 1].map(|kind| most[kind].max(bytes[kind]));
    }
    Ok(most.iter().map(|&bytes| bytes as u64).sum())
}
