//! What sets the heads of one group of people apart from those of another, beyond the label maps: ages and diseases.

use std::ops::Range;

use super::appearance::Spread;

/// Ranges from which each head of a group is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Whether the label map is turned and sized to the template first, as registered scans are.
    pub upright: bool,
    /// The largest rotation about each axis, in degrees.
    pub rotation: f32,
    /// Size relative to the label map's, or to the template's where heads are upright.
    pub size: Range<f32>,
    /// Radius of the ball that closes the brain to its hull, in millimetres: what is narrower is inside.
    pub closing: Range<f32>,
    /// Height of the fluid over the brain's hull, and of the brain extraction's cut, in millimetres.
    pub fluid_height: Range<f32>,
    pub cut_height: Range<f32>,
    /// Whether the extracted brain is one piece.
    pub one_piece: bool,
    /// Part of the heads whose ventricles are larger than the label map's.
    pub enlarged: f64,
    /// By how much their walls are moved, in millimetres.
    pub enlargement: Range<f32>,
    /// Loss of myelin at the ventricles' wall, in units of the texture.
    pub halo: Range<f32>,
    /// Part of cortex in the fluid of sulci: little where the brain has shrunk.
    pub narrowness: Range<f32>,
    /// Part of vessels and membranes in the fluid of sulci.
    pub vessels: Range<f32>,
    /// Perivascular spaces that can be seen.
    pub perivascular_spaces: Range<usize>,
    /// How far tissue parameters may be from the typical ones.
    pub spread: Spread,
}

impl Group {
    /// Adults of any age.
    pub const ANY: Self = Self {
        upright: false,
        rotation: 10.0,
        size: 0.86..1.10,
        closing: 2.5..4.5,
        fluid_height: -2.0..1.0,
        cut_height: -1.5..1.0,
        one_piece: false,
        vessels: 0.05..0.5,
        enlarged: 0.35,
        enlargement: 0.5..3.5,
        halo: 0.0..1.8,
        narrowness: 0.0..0.5,
        perivascular_spaces: 0..150,
        spread: Spread::WIDE,
    };

    /// Prepared as the paper's scans were: registered to the template and extracted inside the fluid.
    const PREPARED: Self = Self {
        upright: true,
        rotation: 2.5,
        size: 0.96..1.03,
        closing: 5.5..7.5,
        fluid_height: 0.5..1.5,
        cut_height: -1.2..0.5,
        one_piece: true,
        vessels: 0.05..0.25,
        ..Self::ANY
    };

    /// Healthy and 22 to 36 years old: ventricles as in the label maps, narrow sulci.
    pub const YOUNG: Self = Self {
        enlarged: 0.0,
        halo: 0.0..0.5,
        narrowness: 0.15..0.4,
        perivascular_spaces: 0..50,
        spread: Spread::NARROW,
        ..Self::PREPARED
    };

    /// Healthy and 60 to 70 years old: larger ventricles, wider sulci, less myelin around the ventricles.
    pub const OLDER: Self = Self {
        enlarged: 1.0,
        enlargement: 0.5..2.5,
        halo: 0.8..2.2,
        narrowness: 0.0..0.15,
        perivascular_spaces: 40..200,
        spread: Spread::NARROW,
        ..Self::PREPARED
    };

    /// Multiple sclerosis for some years: the brain of a middle-aged adult, at times with atrophy.
    pub const MULTIPLE_SCLEROSIS: Self = Self {
        enlarged: 0.4,
        enlargement: 0.5..2.5,
        narrowness: 0.0..0.3,
        spread: Spread::MEDIUM,
        ..Self::PREPARED
    };
}
