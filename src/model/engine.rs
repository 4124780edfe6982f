//! A run of a compiled network, layer by layer, so that it can be stopped on its way.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::plan::eval;

use crate::{Error, Result, memory};

/// Runs `plan` on `input`, and gives all values of its first output. `between` hears before each layer which part of them is done,
/// and can stop the run. `name` is what a fault is said of.
///
/// # Errors
/// Those of `between`; [`Error::Internal`] if a layer fails.
pub(crate) fn run(
    plan: &Arc<TypedRunnableModel>,
    input: Tensor,
    name: &str,
    mut between: impl FnMut(f32) -> Result<()>,
) -> Result<Vec<f32>> {
    let fault = |fault: TractError| Error::Internal(format!("{name} failed: {fault:#}"));
    let mut stopped = None;
    let (mut done, all) = (0, plan.model().nodes().len().max(1));
    let outputs = plan.spawn().and_then(|mut state| {
        state.run_plan_with_eval(tvec!(input.into()), |context, op_state, node, inputs| {
            if let Err(wish) = between(done as f32 / all as f32) {
                stopped = Some(wish);
                return Err(TractError::msg("stopped"));
            }
            done += 1;
            eval(context, op_state, node, inputs)
        })
    });
    if let Some(wish) = stopped {
        return Err(wish);
    }
    let outputs = outputs.map_err(fault)?;
    let view = outputs[0].to_plain_array_view::<f32>().map_err(fault)?;
    Ok(memory::gathered(view.iter().copied()))
}
