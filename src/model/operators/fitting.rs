//! Operators that stretch images of one voxel to the size of others, and must find that all others have one size.
//!
//! Tract takes lengths that do not fit for a formula, in the hope that it comes out right, and needs a time that doubles with each
//! operator to simplify formulas of formulas.

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::keep::{Parsed, wrapped};

/// Operators whose inputs are stretched to each other's size.
const STRETCHING: [&str; 5] = ["Add", "Clip", "Mul", "PRelu", "Sub"];

/// Makes `onnx` refuse images whose sizes do not fit together.
pub(in crate::model) fn refuse_misfits(onnx: &mut Onnx) {
    for operator in STRETCHING {
        onnx.op_register.insert(operator, fitting);
    }
}

fn fitting(context: &ParsingContext, node: &NodeProto) -> Parsed {
    wrapped(context, node, |apart| Fitting { apart })
}

/// An operator that stretches, as tract has it.
#[derive(Clone, Debug)]
struct Fitting {
    apart: Box<dyn Expansion>,
}

impl Expansion for Fitting {
    fn name(&self) -> StaticName {
        self.apart.name()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        solver.given(&outputs[0].shape, |_, shape| check(&shape))?;
        self.apart.rules(solver, inputs, outputs)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let outlets = self.apart.wire(prefix, model, inputs)?;
        for &outlet in &outlets {
            check(&model.outlet_fact(outlet)?.shape)?;
        }
        Ok(outlets)
    }
}

/// Refuses lengths that tract has not made one of.
fn check(shape: &[TDim]) -> TractResult<()> {
    if shape.iter().any(is_of_misfits) {
        bail!("images whose sizes do not fit together");
    }
    Ok(())
}

/// Whether there is a length in it that is one of several.
fn is_of_misfits(length: &TDim) -> bool {
    match length {
        TDim::Broadcast(_) => true,
        TDim::Val(_) | TDim::Sym(_) => false,
        TDim::Add(parts) | TDim::Mul(parts) | TDim::Min(parts) | TDim::Max(parts) => {
            parts.iter().any(is_of_misfits)
        }
        TDim::MulInt(_, part) | TDim::Div(part, _) => is_of_misfits(part),
        TDim::Ge(one, other) | TDim::Eq(one, other) => is_of_misfits(one) || is_of_misfits(other),
    }
}
