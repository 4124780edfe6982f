//! ONNX operators that stay whole in tract's typed graph until it is known whether the kernels take them.

use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

/// Which operator it is, with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    InstanceNorm {
        epsilon: f32,
    },
    /// Channels become blocks of so many rows and columns, in the order DCR.
    DepthToSpace(usize),
    /// The reverse.
    SpaceToDepth(usize),
}

/// An operator that stays whole: as a node of the typed graph it says what it is, and how tract would have taken it apart.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) kind: Kind,
    pub(super) apart: Box<dyn Expansion>,
}

pub(super) type Parsed = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

/// Makes `onnx` keep the operators that the kernels have.
pub(in crate::model) fn register(onnx: &mut Onnx) {
    onnx.op_register.insert("InstanceNormalization", instance_norm);
    onnx.op_register.insert("DepthToSpace", depth_to_space);
    onnx.op_register.insert("SpaceToDepth", space_to_depth);
}

fn instance_norm(context: &ParsingContext, node: &NodeProto) -> Parsed {
    let epsilon = node.get_attr_opt("epsilon")?.unwrap_or(1e-5);
    keep(context, node, Kind::InstanceNorm { epsilon })
}

fn depth_to_space(context: &ParsingContext, node: &NodeProto) -> Parsed {
    let block = node.get_attr_opt("blocksize")?.unwrap_or(2);
    match node.get_attr_opt("mode")? {
        None | Some("DCR") => keep(context, node, Kind::DepthToSpace(block)),
        Some(_) => apart(context, node),
    }
}

fn space_to_depth(context: &ParsingContext, node: &NodeProto) -> Parsed {
    let block = node.get_attr_opt("blocksize")?.unwrap_or(2);
    keep(context, node, Kind::SpaceToDepth(block))
}

/// The operator as tract takes it apart.
fn apart(context: &ParsingContext, node: &NodeProto) -> Parsed {
    let builder =
        *tract_onnx::onnx().op_register.0.get(&node.op_type).context("an operator that tract has")?;
    builder(context, node)
}

/// The same inside of what `around` makes of it, where tract has something to be taken apart.
pub(super) fn wrapped<E: Expansion>(
    context: &ParsingContext,
    node: &NodeProto,
    around: impl FnOnce(Box<dyn Expansion>) -> E,
) -> Parsed {
    let (operator, closure_inputs) = apart(context, node)?;
    let Some(apart) = operator.as_op().downcast_ref::<Box<dyn Expansion>>() else {
        return Ok((operator, closure_inputs));
    };
    Ok((expand(around(apart.clone())), closure_inputs))
}

fn keep(context: &ParsingContext, node: &NodeProto, kind: Kind) -> Parsed {
    wrapped(context, node, |apart| Kept { kind, apart })
}

impl Expansion for Kept {
    fn name(&self) -> StaticName {
        self.apart.name()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        self.apart.rules(solver, inputs, outputs)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let fact = model.outlet_fact(inputs[0])?;
        let images = fact.datum_type == f32::datum_type() && fact.rank() == 4;
        // What tract's own way refuses is refused in the same way.
        let mut trial = TypedModel { symbols: model.symbols.clone(), ..TypedModel::default() };
        let facts: TVec<_> =
            inputs.iter().map(|&input| model.outlet_fact(input).cloned()).collect::<TractResult<_>>()?;
        let sources = facts.into_iter().enumerate().map(|(at, fact)| trial.add_source(format!("{at}"), fact));
        let sources: TVec<_> = sources.collect::<TractResult<_>>()?;
        let outlets = self.apart.wire(prefix, &mut trial, &sources)?;
        if !images || outlets.len() != 1 {
            return self.apart.wire(prefix, model, inputs);
        }
        let fact = trial.outlet_fact(outlets[0])?.clone();
        model.wire_node(prefix, KeptNode { kept: self.clone(), fact: fact.without_value() }, inputs)
    }
}

/// A [`Kept`] in the typed graph. It does not run: lowering replaces it or takes it apart.
#[derive(Clone, Debug)]
pub(super) struct KeptNode {
    pub(super) kept: Kept,
    fact: TypedFact,
}

impl PartialEq for KeptNode {
    fn eq(&self, other: &Self) -> bool {
        self.kept.kind == other.kept.kind && self.fact == other.fact
    }
}

impl Eq for KeptNode {}

impl Op for KeptNode {
    fn name(&self) -> StaticName {
        self.kept.name()
    }

    op_as_typed_op!();
}

impl EvalOp for KeptNode {
    not_out_of_plan!();
}

impl TypedOp for KeptNode {
    as_op!();

    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.fact.clone()))
    }
}
