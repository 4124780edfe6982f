//! What the layers of a graph read: images of four axes, and weights of the shapes that each operator takes.
//!
//! The engine takes the number of axes for granted where ONNX does, and reads beside them where there are fewer.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use tract_onnx::pb::{GraphProto, NodeProto};

use super::check::{INPUT_NAME, bad};
use crate::{Error, Result};

/// Operators that leave their input's size as it is: weights may pass through them.
const OF_WEIGHTS: [&str; 3] = ["Cast", "Constant", "Identity"];
/// Axes of an image: slices, channels, rows and columns.
const AXES: usize = 4;
/// Those of them that kernels, steps and borders have lengths for.
const PLANE_AXES: usize = 2;

/// What a value is, by all that comes before it.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    /// Of this shape, and the same for every scan.
    Weights(Vec<i64>),
    /// Made of the scan, and of four axes.
    Image,
}

/// Checks that every value is made once, before it is read, and that each layer reads what it can: an image, and weights beside it.
/// What would be computed from weights alone is refused, for tract computes it when it loads a file, however large it is.
///
/// # Errors
/// [`Error::BadModel`] with the first fault found.
pub(super) fn check(graph: &GraphProto) -> Result<()> {
    let mut made = HashMap::new();
    for tensor in &graph.initializer {
        make(&mut made, &tensor.name, Value::Weights(tensor.dims.clone()))?;
    }
    // All other inputs are weights, as is checked with the graph's ends.
    make(&mut made, INPUT_NAME, Value::Image)?;
    for node in &graph.node {
        let value = Layer::new(node, &made)?
            .value()
            .map_err(|fault| Error::BadModel(format!("{} (node {:?}) {fault}", node.op_type, node.name)))?;
        let [output] = &node.output[..] else {
            return bad(format!("node {:?} makes {} values", node.name, node.output.len()));
        };
        make(&mut made, output, value)?;
    }
    Ok(())
}

fn make<'a>(made: &mut HashMap<&'a str, Value>, name: &'a str, value: Value) -> Result<()> {
    match made.insert(name, value) {
        None => Ok(()),
        Some(_) => bad(format!("it makes {name:?} twice")),
    }
}

/// A node, and what it reads; nothing where an input is left out.
struct Layer<'a> {
    node: &'a NodeProto,
    inputs: Vec<Option<&'a Value>>,
}

/// What is wrong with a layer, after its name.
type Checked<T> = std::result::Result<T, String>;

impl<'a> Layer<'a> {
    fn new(node: &'a NodeProto, made: &'a HashMap<&str, Value>) -> Result<Self> {
        let read = |name: &String| match (name.as_str(), made.get(name.as_str())) {
            ("", _) => Ok(None),
            (_, Some(value)) => Ok(Some(value)),
            _ => bad(format!("node {:?} reads {name:?}, which nothing before it makes", node.name)),
        };
        Ok(Self { node, inputs: node.input.iter().map(read).collect::<Result<_>>()? })
    }

    /// What the layer makes.
    fn value(&self) -> Checked<Value> {
        let operator = self.node.op_type.as_str();
        if !self.inputs.contains(&Some(&Value::Image)) {
            if OF_WEIGHTS.contains(&operator) {
                return Ok(Value::Weights(self.shape_of_weights()));
            }
            return Err("computes something of weights alone".into());
        }
        match operator {
            "Add" | "Mul" | "Sub" => self.check_axes(0, 0..=AXES)?,
            "Concat" => self.check_axes(0, AXES..=AXES)?,
            _ => self.check_layer(operator)?,
        }
        Ok(Value::Image)
    }

    /// The shape of what is no more than weights.
    fn shape_of_weights(&self) -> Vec<i64> {
        match self.inputs.first() {
            Some(Some(Value::Weights(shape))) => shape.clone(),
            _ => self.constant_shape(),
        }
    }

    fn constant_shape(&self) -> Vec<i64> {
        let shape = self.node.attribute.iter().find_map(|attribute| match attribute.name.as_str() {
            "value" => attribute.t.as_ref().map(|tensor| tensor.dims.clone()),
            "value_floats" => Some(vec![attribute.floats.len() as i64]),
            "value_ints" => Some(vec![attribute.ints.len() as i64]),
            _ => None,
        });
        shape.unwrap_or_default()
    }

    /// An operator that reads one image, and weights as its parameters.
    fn check_layer(&self, operator: &str) -> Checked<()> {
        if self.inputs.first() != Some(&Some(&Value::Image)) {
            return Err("reads weights in place of an image".into());
        }
        if self.inputs[1..].contains(&Some(&Value::Image)) {
            return Err("reads an image in place of weights".into());
        }
        match operator {
            "Conv" | "ConvTranspose" => self.check_convolution(),
            "AveragePool" | "MaxPool" => self.check_pool(),
            "BatchNormalization" | "InstanceNormalization" => self.check_axes(1, 1..=1),
            "Clip" => self.check_axes(1, 0..=1),
            "Pad" => self.check_pad(),
            "PRelu" => self.check_axes(1, 0..=AXES),
            "Resize" => self.check_numbers(2, AXES),
            "Slice" => self.check_slice(),
            _ => Ok(()),
        }
    }

    /// The shape of the weights that are input number `at`.
    fn weights(&self, at: usize) -> Option<&'a [i64]> {
        match self.inputs.get(at) {
            Some(Some(Value::Weights(shape))) => Some(shape),
            _ => None,
        }
    }

    /// Checks how many axes the weights have, from input number `first` on.
    fn check_axes(&self, first: usize, axes: RangeInclusive<usize>) -> Checked<()> {
        let found = (first..self.inputs.len()).filter_map(|at| self.weights(at));
        match found.map(<[i64]>::len).find(|count| !axes.contains(count)) {
            Some(count) => Err(format!("has weights of {count} axes")),
            None => Ok(()),
        }
    }

    /// Checks that the weights that are input number `at`, if there are any, are a list of so many numbers.
    fn check_numbers(&self, at: usize, count: usize) -> Checked<()> {
        match self.weights(at) {
            Some(shape) if shape != [count as i64] => {
                Err(format!("has parameters of the shape {shape:?}, not {count} numbers"))
            }
            _ => Ok(()),
        }
    }

    fn check_convolution(&self) -> Checked<()> {
        let Some([_, _, rows, columns]) = self.weights(1) else {
            return Err("has a kernel that is not of four axes".into());
        };
        let kernel = [*rows, *columns];
        let mut said = self.lists("kernel_shape");
        if let Some(said) = said.find(|said| *said != kernel) {
            return Err(format!("has a kernel of {kernel:?}, and says {said:?}"));
        }
        self.check_axes(2, 1..=1)?;
        self.check_plane()
    }

    fn check_pool(&self) -> Checked<()> {
        if self.lists("kernel_shape").next().is_none() {
            return Err("has no kernel_shape".into());
        }
        self.check_plane()
    }

    /// The integers of the attributes of this name.
    fn lists(&self, name: &'static str) -> impl Iterator<Item = &'a [i64]> {
        let named = self.node.attribute.iter().filter(move |attribute| attribute.name == name);
        named.map(|attribute| &attribute.ints[..])
    }

    /// Checks the attributes that have a number for rows and one for columns, or one for each border.
    fn check_plane(&self) -> Checked<()> {
        let lists = ["dilations", "kernel_shape", "output_padding", "output_shape", "strides"];
        lists.into_iter().try_for_each(|name| self.check_length(name, PLANE_AXES))?;
        self.check_length("pads", 2 * PLANE_AXES)
    }

    fn check_length(&self, name: &'static str, expected: usize) -> Checked<()> {
        match self.lists(name).map(<[i64]>::len).find(|&found| found != expected) {
            Some(found) => Err(format!("has {found} {name}, not {expected}")),
            None => Ok(()),
        }
    }

    /// A width before and one behind, for every axis or for those that are named.
    fn check_pad(&self) -> Checked<()> {
        let axes = match self.weights(3) {
            None => AXES,
            Some(&[count]) => usize::try_from(count).unwrap_or(usize::MAX),
            Some(shape) => return Err(format!("has axes of the shape {shape:?}")),
        };
        if axes > AXES {
            return Err(format!("names {axes} axes"));
        }
        self.check_length("pads", 2 * AXES)?;
        self.check_axes(2, 0..=1)?;
        self.check_numbers(1, 2 * axes)
    }

    /// Starts, ends, axes and steps are as many.
    fn check_slice(&self) -> Checked<()> {
        let Some(shape) = self.weights(1) else { return Ok(()) };
        let count = match shape {
            &[count] => usize::try_from(count).unwrap_or(usize::MAX),
            shape => return Err(format!("has starts of the shape {shape:?}")),
        };
        if count > AXES {
            return Err(format!("has {count} starts"));
        }
        (2..self.inputs.len()).try_for_each(|at| self.check_numbers(at, count))
    }
}
