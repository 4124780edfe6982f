//! The network that finds the brain: loaded once from the binary, compiled for each size, run node by node.

#[cfg(feature = "embedded-models")]
pub(crate) use embedded::run;

/// Without embedded models there is no network.
#[cfg(not(feature = "embedded-models"))]
pub(crate) fn run(
    _channels: Vec<f32>,
    _dims: [usize; 3],
    _report: impl FnMut(f32) -> crate::Result<()>,
) -> crate::Result<Vec<f32>> {
    Err(crate::Error::Unsupported(
        "this build has no embedded models, and so no brain extraction; give a brain mask".into(),
    ))
}

/// An upper bound on the bytes that the network and its images take for a volume of so many voxels, by measurement: 38 a voxel
/// for volumes of 1.6 to 4.1 million, which its layers at full size decide, and its weights.
pub(super) fn needs_of(voxels: u64) -> u64 {
    48 * voxels + (12 << 20)
}

#[cfg(feature = "embedded-models")]
mod embedded {
    use std::sync::OnceLock;

    use tract_onnx::prelude::*;

    use crate::guard::catch_panics;
    use crate::model::engine;
    use crate::prepare::lattice::CHANNELS;
    use crate::{Error, Result};

    /// The ONNX file.
    static MODEL: &[u8] = include_bytes!("../../models/brain-extraction.onnx");

    fn fault(fault: TractError) -> Error {
        Error::Internal(format!("the brain extractor failed: {fault:#}"))
    }

    /// The network as read, for any size.
    fn graph() -> Result<&'static InferenceModel> {
        static GRAPH: OnceLock<InferenceModel> = OnceLock::new();
        if let Some(graph) = GRAPH.get() {
            return Ok(graph);
        }
        let read = tract_onnx::onnx().model_for_read(&mut &*MODEL).map_err(fault)?;
        Ok(GRAPH.get_or_init(|| read))
    }

    /// Runs the network on channels of [`crate::prepare::lattice::split`] from a volume of `dims`, and gives back
    /// channels of heights; `report` hears the fraction done after every layer and can stop the run.
    pub(crate) fn run(
        channels: Vec<f32>,
        dims: [usize; 3],
        mut report: impl FnMut(f32) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let [w, h, d] = dims.map(|length| length / 2);
        catch_panics(|| {
            let shape = [1, CHANNELS, d, h, w];
            let model = graph()?.clone().with_input_fact(0, f32::fact(shape).into()).map_err(fault)?;
            let plan = model.into_optimized().and_then(|model| model.into_runnable()).map_err(fault)?;
            let input = Tensor::from_shape(&shape, &channels).map_err(fault)?;
            let heights = engine::run(&plan, input, "the brain extractor", &mut report)?;
            if heights.len() != channels.len() {
                return Err(Error::Internal(format!("the brain extractor gives {} values", heights.len())));
            }
            Ok(heights)
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_file_is_the_one_that_was_measured() {
            let expected = include_str!("../../models/brain-extraction.onnx.sha256");
            assert_eq!(expected.split_whitespace().next(), Some(&*crate::digest::sha256(MODEL)));
        }

        #[test]
        fn a_stop_comes_between_layers() {
            let mut calls = 0;
            let channels = vec![0.0; CHANNELS * 8 * 8 * 8];
            let outcome = run(channels, [16; 3], |fraction| {
                calls += 1;
                if fraction > 0.4 { Err(Error::Cancelled) } else { Ok(()) }
            });
            assert!(matches!(outcome, Err(Error::Cancelled)));
            assert!(calls > 5, "{calls}");
        }
    }
}
